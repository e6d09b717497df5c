"""OBS as the panel shows it: is it there, its scenes, and which preset each brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, Protocol

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.web.answers import (
    ERRORS,
    error_response,
    in_thread,
    read_json,
    result_of,
)
from obs_stylizer.web.json_text import AnyNameResponse

SceneMap = Mapping[str, Any]
"""``{"scene_map": {SCENE: P}, "default": P}``; P as under ``scenes`` in the settings."""


class SceneMapApi(Protocol):
    """What the panel needs of whoever talks to OBS. Any thread may call; calls may take long."""

    def describe(self) -> dict[str, Any]:
        """``enabled``, ``state``, ``scenes``, ``scene_map`` and ``default``, as plain JSON."""

    def save(self, scene_map: SceneMap) -> None:
        """Act on another map from now on, and write it into the settings.

        Raises:
            StylizerError: it is wrong, or cannot be written; nothing has changed.
        """


_NOBODY: Final = {"enabled": False, "state": {}, "scenes": [], "scene_map": {}, "default": {}}
_REMEMBERED: Final = 20
_MAP_SCHEMA: Final = {
    "type": "object",
    "required": ["scene_map"],
    "properties": {"scene_map": {"type": "object"}, "default": {"type": "object"}},
}


def obs_routes(obs: SceneMapApi | None) -> APIRouter:
    """Make OBS's routes; without ``obs`` they say that nobody talks to it."""
    router = APIRouter(tags=["OBS"])
    undo: list[SceneMap] = []

    async def describe() -> dict[str, Any]:
        found = _NOBODY if obs is None else await _result(obs.describe)
        return {**found, "can_undo": bool(undo)}

    async def save(scene_map: SceneMap) -> SceneMap:
        """Save a map and return the one before."""
        if obs is None:
            raise StylizerError("OBS is not in use", "write “obs:” into the settings")
        before = await _result(obs.describe)
        await _result(lambda: obs.save(scene_map))
        return {"scene_map": before["scene_map"], "default": before["default"]}

    @router.get("/api/obs", summary="OBS's state, its scenes, and the scene map.", responses=ERRORS)
    async def state() -> Any:
        try:
            return await describe()
        except StylizerError as error:
            return error_response(error)

    @router.post(
        "/api/obs/scene-map",
        summary="Save another scene map into the settings, and act on it.",
        responses=ERRORS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _MAP_SCHEMA}},
            }
        },
    )
    async def save_map(request: Request) -> Response:
        try:
            given = await read_json(request)
            if not isinstance(given.get("scene_map"), dict):
                raise UsageError("the request has no scene map", 'send {"scene_map": {…}}')
            undo.append(await save(given))
            del undo[:-_REMEMBERED]
            return AnyNameResponse(await describe())
        except StylizerError as error:
            return error_response(error)

    @router.post(
        "/api/obs/scene-map/undo", summary="Take the last saved scene map back.", responses=ERRORS
    )
    async def undo_map() -> Response:
        try:
            if not undo:
                raise UsageError("there is no saved scene map to take back")
            await save(undo[-1])
            undo.pop()
            return AnyNameResponse(await describe())
        except StylizerError as error:
            return error_response(error)

    return router


async def _result(work: Callable[[], Any]) -> Any:
    future: Future[Any] = in_thread(work)
    return await result_of(future, 20.0)
