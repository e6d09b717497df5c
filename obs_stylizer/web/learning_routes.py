"""Learning a style from a picture that is sent, and installing a style pack that is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import LearnStyle, Reload
from obs_stylizer.control.learning_files import PICTURE, THUMBNAIL, learning_folder
from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.inference.style_packs import MAX_BYTES, parse_pack
from obs_stylizer.styling.installed_styles import install
from obs_stylizer.web.answers import (
    ERRORS,
    AnswerBody,
    error_response,
    in_thread,
    refusal,
    result_of,
)
from obs_stylizer.web.guard import LEARN_PICTURE, MAX_PICTURE
from obs_stylizer.web.json_text import AnyNameResponse

_SECONDS: Final = 60.0


def learning_routes(api: ControlApi) -> APIRouter:
    """Make the routes."""
    router = APIRouter(tags=["styles"])

    @router.post(
        LEARN_PICTURE,
        summary="Learn the style of the picture in the body, and go over to it.",
        description=f"The body is the file itself, JPEG or PNG, of at most {MAX_PICTURE} bytes.",
        response_model=AnswerBody,
        responses=ERRORS,
    )
    async def learn_picture(request: Request, name: str, seconds: float = 90.0) -> Response:
        try:
            now = api.on_air.learning
            if now.get("state") == "learning":
                # What it learns from stays; asking would be refused anyway.
                raise UsageError(
                    f"the style {now['name']} is being learnt",
                    "wait for it, or end that: learn-keep, learn-forget",
                )
            path = await _save(request)
            done = await result_of(api.send(LearnStyle(str(path), name, seconds)))
        except StylizerError as error:
            return error_response(error)
        return AnyNameResponse({"text": done.text, "details": dict(done.details)})

    @router.get(
        "/api/learning/thumbnail.jpg",
        summary="The live picture in the style that is being learnt.",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 404: ERRORS[404]},
    )
    async def thumbnail() -> Response:
        path = learning_folder() / THUMBNAIL
        if not path.is_file():
            return refusal(404, "no style is being learnt", "send a picture to learn")
        return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.post(
        "/api/styles",
        summary="Install the style pack in the body; it becomes a preset.",
        response_model=AnswerBody,
        responses=ERRORS,
    )
    async def install_style(request: Request) -> Response:
        try:
            pack = parse_pack(await _read(request, MAX_BYTES), "what was sent")
            preset = await result_of(in_thread(lambda: install(pack)))
            await result_of(api.send(Reload()))
        except StylizerError as error:
            return error_response(error)
        details: dict[str, Any] = {"style": pack.name, "preset": preset.stem}
        return AnyNameResponse({"text": f"installed {pack.name}", "details": details})

    return router


async def _save(request: Request) -> Path:
    """Keep the picture that is sent until the next one.

    Raises:
        UsageError: it is too large or did not arrive whole, or cannot be kept.
    """
    content = await _read(request, MAX_PICTURE)
    if not content:
        raise UsageError("the request holds no picture", "send the file itself as the body")
    path = learning_folder() / PICTURE
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(path.write_bytes, content)
    except OSError as error:
        reason = f"the picture cannot be kept: {error.strerror}"
        raise UsageError(reason, "make room on the disk") from error
    return path


async def _read(request: Request, most: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > most:
                    raise UsageError("the request is too large", f"it may have {most} bytes")
    except (TimeoutError, ClientDisconnect):
        raise UsageError("the request did not arrive whole", "send it at once") from None
    return bytes(body)
