"""OBS as the panel shows it: is it there, its scenes, and which preset each brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from obs_stylizer.control.web.answers import (
    ERRORS,
    error_response,
    in_thread,
    read_json,
    refusal,
    result_of,
)
from obs_stylizer.errors import StylizerError, UsageError


class ObsDoor(Protocol):
    """What the panel needs of whoever talks to OBS. Any thread may call; calls may take long."""

    def state(self) -> Mapping[str, Any]:
        """Whether OBS is there, and what is on its program, as plain JSON values."""

    def scenes(self) -> Sequence[str]:
        """Names of OBS's scenes; empty where it is not there."""

    def scene_map(self) -> Mapping[str, Any]:
        """For each scene what it brings, as in the settings."""

    def save_scene_map(self, scene_map: Mapping[str, Any]) -> None:
        """Act on another map from now on, and write it into the settings.

        Raises:
            StylizerError: it is wrong, or cannot be written; nothing has changed.
        """


def obs_routes(obs: ObsDoor | None) -> APIRouter:
    """Make OBS's routes; without ``obs`` they say so."""
    router = APIRouter(tags=["OBS"])
    undo: list[dict[str, Any]] = []

    async def describe() -> Any:
        if obs is None:
            return {"state": {"enabled": False}, "scenes": [], "scene_map": {}, "can_undo": False}
        return await _result(
            lambda: {
                "state": dict(obs.state()),
                "scenes": list(obs.scenes()),
                "scene_map": dict(obs.scene_map()),
                "can_undo": bool(undo),
            }
        )

    @router.get("/api/obs", summary="OBS's state, its scenes, and the scene map.")
    async def state() -> Any:
        try:
            return await describe()
        except StylizerError as error:
            return error_response(error)

    async def save(make_map: Callable[[], dict[str, Any]], *, remember: bool) -> Response:
        if obs is None:
            return refusal(409, "OBS is not switched on in the settings", "see “obs” in the README")
        try:
            scene_map = make_map()
            before = dict(obs.scene_map())
            await _result(lambda: obs.save_scene_map(scene_map))
            if remember:
                undo.append(before)
                del undo[:-20]
            return JSONResponse(await describe())
        except StylizerError as error:
            return error_response(error)

    @router.post(
        "/api/obs/scene-map",
        summary="Save another scene map into the settings, and act on it.",
        responses=ERRORS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["scene_map"],
                            "properties": {"scene_map": {"type": "object"}},
                        }
                    }
                },
            }
        },
    )
    async def save_map(request: Request) -> Response:
        try:
            given = (await read_json(request)).get("scene_map")
        except StylizerError as error:
            return error_response(error)
        if not isinstance(given, dict):
            return refusal(400, "the request has no scene map", 'send {"scene_map": {…}}')
        return await save(lambda: given, remember=True)

    @router.post(
        "/api/obs/scene-map/undo", summary="Take the last saved scene map back.", responses=ERRORS
    )
    async def undo_map() -> Response:
        def last() -> dict[str, Any]:
            if not undo:
                raise UsageError("there is no saved scene map to take back")
            return undo.pop()

        return await save(last, remember=False)

    return router


async def _result(work: Callable[[], Any]) -> Any:
    future: Future[Any] = in_thread(work)
    return await result_of(future, 20.0)
