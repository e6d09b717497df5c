"""What there is: the state, presets with their thumbnails, sources, hotkeys."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import ApplyPreset
from obs_stylizer.control.hotkeys.report import read_reports
from obs_stylizer.control.vocabulary import command_from_text
from obs_stylizer.errors import StylizerError
from obs_stylizer.settings import runtime_folder
from obs_stylizer.web.answers import ERRORS, in_thread, refusal, result_of
from obs_stylizer.web.event_feed import EventFeed
from obs_stylizer.web.guard import KNOWN_BY, NEW_CODE
from obs_stylizer.web.json_text import AnyNameResponse
from obs_stylizer.web.thumbnails import Thumbnails, find_preset, picture_beside

if TYPE_CHECKING:
    from obs_stylizer.sources.device_info import CameraInfo

_SOURCES_KEPT: Final = 3.0
_SOURCES_SECONDS: Final = 20.0


def listing_routes(
    api: ControlApi, event_feed: EventFeed, thumbnails: Thumbnails, hotkeys: Mapping[str, str]
) -> APIRouter:
    """Make the routes that only tell."""
    router = APIRouter(tags=["listings"])
    sources = _Sources()

    @router.get("/api/status", summary="What is on air, and the statistics of the last second.")
    async def status() -> dict[str, Any]:
        return event_feed.status()

    @router.get("/api/access", summary="Whether this request came with the token.")
    async def access(request: Request) -> dict[str, bool]:
        return {"known": bool(request.scope.get(KNOWN_BY))}

    @router.post("/api/panel-code", summary="What opens the panel once, as /?code=CODE.")
    async def panel_code(request: Request) -> dict[str, str]:
        code: str = request.scope[NEW_CODE]()
        return {"code": code}

    @router.get("/api/presets", summary="All presets, and what is wrong with which file.")
    async def presets() -> dict[str, Any]:
        return await result_of(in_thread(lambda: _describe_presets(api)))

    @router.get(
        "/api/presets/{name}/thumbnail.jpg",
        summary="A preset's picture: of the live one (with the token), else its own.",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 404: ERRORS[404]},
    )
    async def thumbnail(name: str, request: Request) -> Response:
        named = find_preset(api, name)
        jpeg = None
        if named is not None:
            # The live one is a picture of the camera.
            known = request.scope.get(KNOWN_BY)
            jpeg = thumbnails.get(named) if known else picture_beside(named.path)
        if jpeg is None:
            return refusal(404, f"there is no picture of “{name}” yet", "ask again in a while")
        tag = f'"{hashlib.sha256(jpeg).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @router.get("/api/sources", summary="Cameras, screens and generators to take frames from.")
    async def list_sources() -> Any:
        try:
            return await sources.listed()
        except StylizerError as error:
            return AnyNameResponse({"sources": [], "reasons": {"sources": str(error)}})

    @router.get("/api/obs-filters", summary="Our filters in OBS, and who serves them.")
    async def obs_filters() -> Any:
        return await result_of(in_thread(_describe_filters))

    @router.get("/api/hotkeys", summary="Which keys do what.")
    async def list_hotkeys() -> dict[str, Any]:
        return await result_of(in_thread(lambda: _describe_hotkeys(api, hotkeys)))

    return router


def _describe_presets(api: ControlApi) -> dict[str, Any]:
    presets = [
        {
            "name": named.name,
            "bundled": named.bundled,
            "thumbnail": f"/api/presets/{named.name}/thumbnail.jpg",
            **named.preset.model_dump(
                include={
                    "title",
                    "description",
                    "model",
                    "styles",
                    "strength",
                    "crossfade_ms",
                    "hotkey",
                    "licence",
                    "author",
                }
            ),
        }
        for named in api.library.all()
    ]
    errors = [
        {"file": path.name, "message": error.message, "remedy": error.remedy}
        for path, error in api.library.errors.items()
    ]
    return {"presets": presets, "errors": errors}


def _describe_hotkeys(api: ControlApi, hotkeys: Mapping[str, str]) -> dict[str, Any]:
    """What the hotkeys say of each; where it does not run, what was asked for."""
    titles = {named.name: named.preset.title for named in api.library.all()}
    reports = [report for report in read_reports(runtime_folder()) if report.pid == os.getpid()]
    if reports:
        found = [(state.shown_keys, state.text, state.problem) for state in reports[0].hotkeys]
        trouble = reports[0].trouble
    else:
        of_presets = [
            (named.preset.hotkey, f"preset {named.name}", "")
            for named in api.library.all()
            if named.preset.hotkey
        ]
        found = [*of_presets, *((keys, text, "") for text, keys in hotkeys.items())]
        trouble = "nothing listens for keys"
    described = [
        {"keys": keys, "command": text, "title": _title_of(text, titles), "problem": problem}
        for keys, text, problem in found
    ]
    return {"trouble": trouble, "hotkeys": described}


def _title_of(text: str, titles: Mapping[str, str]) -> str:
    try:
        command = command_from_text(text)
    except StylizerError:
        return text
    if isinstance(command, ApplyPreset) and command.name in titles:
        return titles[command.name]
    return text[:1].upper() + text[1:]


class _Sources:
    """Asks the system for its devices in a thread, once for all who ask at the same time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._listed: dict[str, Any] | None = None
        self._listed_at = float("-inf")

    async def listed(self) -> dict[str, Any]:
        async with self._lock:
            if self._listed is None or time.monotonic() - self._listed_at > _SOURCES_KEPT:
                self._listed = await result_of(in_thread(_list_sources), _SOURCES_SECONDS)
                self._listed_at = time.monotonic()
            return self._listed


def _list_sources() -> dict[str, Any]:
    from obs_stylizer.sources.listing import (
        list_cameras,
        list_generators,
        list_pipewire_cameras,
        list_screens,
        list_shared,
    )

    cameras, screens, generators = list_cameras(), list_screens(), list_generators()
    nodes, shared = list_pipewire_cameras(), list_shared()
    sources = [
        _source(_camera_word(camera, cameras), camera.name, camera.path) for camera in cameras
    ]
    # Those with a device are in the list already.
    sources += [
        _source(f"camera:pipewire:{node.node}", node.name, "PipeWire")
        for node in nodes
        if not node.path and not node.is_virtual
    ]
    sources += [_source(one.source, one.title, "") for one in shared]
    sources += [
        _source(f"screen:{screen.index}", screen.name, f"{screen.width}x{screen.height}")
        for screen in screens
    ]
    sources += [
        _source(
            f"generator:{found.name}", found.title or found.name, f"{found.width}x{found.height}"
        )
        for found in generators
    ]
    sources += [_source(one["source"], one["title"], "") for one in _describe_filters()["filters"]]
    sources.append(_source("pattern", "Test pattern", ""))
    reasons = {
        "cameras": cameras.reason,
        "screens": "" if shared else screens.reason,
        "generators": generators.reason,
    }
    return {"sources": sources, "reasons": reasons}


def _describe_filters() -> dict[str, Any]:
    from obs_stylizer.obs_filter.listing import list_filters

    filters = [
        {
            "source": f"obs-filter:{info.source}",
            "title": str(info),
            "preset": info.preset,
            "seen": info.is_seen,
            "served": info.is_served,
        }
        for info in list_filters()
        if info.source
    ]
    return {"filters": filters}


def _camera_word(camera: CameraInfo, cameras: list[CameraInfo]) -> str:
    """A name outlives the unplugging of another camera, so it goes before the index."""
    names = [other.name for other in cameras]
    by_name = names.count(camera.name) == 1 and camera.name and not camera.name.isdigit()
    return f"camera:{camera.name if by_name else camera.index}"


def _source(source: str, title: str, detail: str) -> dict[str, str]:
    kind = source.partition(":")[0]
    return {"source": source, "kind": kind, "title": title or source, "detail": detail}
