"""Recordings and snapshots: the only files of the disk that can be read over HTTP."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from obs_stylizer.control.api import ControlApi
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.web.answers import ERRORS, in_thread, refusal, result_of

KINDS: Final = {
    ".png": "image/png",
    ".mkv": "video/x-matroska",
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
}
"""What is shown of those folders; everything else in them is nobody's business."""

_LISTED: Final = 100


def file_routes(api: ControlApi, recording: RecordingSettings) -> APIRouter:
    """Make the routes of both folders."""
    router = APIRouter(tags=["files"])
    for kind, folder in (
        ("recordings", recording.recordings_folder),
        ("snapshots", recording.snapshots_folder),
    ):
        _add(router, api, kind, folder)
    return router


def _add(router: APIRouter, api: ControlApi, kind: str, folder: Path) -> None:
    @router.get(f"/api/{kind}", summary=f"The newest {kind}, newest first.")
    async def listed() -> dict[str, Any]:
        files = await result_of(in_thread(lambda: _list_files(folder, kind)))
        return {"folder": str(folder), "files": files}

    @router.get(
        f"/api/{kind}/{{name}}",
        summary=f"One of the {kind}.",
        response_class=Response,
        responses={200: {"content": {kind: {} for kind in KINDS.values()}}, 404: ERRORS[404]},
    )
    async def read(name: str) -> Response:
        path = find_file(folder, name)
        if path is None:
            return refusal(404, f"there is no such file among the {kind}: {name[:100]}")
        now_recorded = api.on_air.recording
        if now_recorded and Path(now_recorded) == path:
            return refusal(409, f"{name} is still being recorded", "end the recording first")
        return FileResponse(path, media_type=KINDS[path.suffix], filename=path.name)


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file of that name directly in ``folder``, or None if it is not to be shown.

    No link is followed, so that nothing outside the folder can be reached by any name.
    """
    path = folder / name
    if path.name != name or path.parent != folder or name.startswith(".") or "\0" in name:
        return None
    if "\\" in name or ":" in name or path.suffix not in KINDS:
        return None
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return None
    return path if stat.S_ISREG(mode) else None


def _list_files(folder: Path, kind: str) -> list[dict[str, Any]]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for name in names:
        path = find_file(folder, name)
        if path is None:
            continue
        try:
            facts = path.stat()
        except OSError:
            continue
        found.append(
            {
                "name": name,
                "bytes": facts.st_size,
                "modified": round(facts.st_mtime, 3),
                "url": f"/api/{kind}/{quote(name)}",
            }
        )
    found.sort(key=lambda file: file["modified"], reverse=True)
    return found[:_LISTED]
