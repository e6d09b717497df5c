"""The pages under which a web server shows a stream; they fit into any Starlette application."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from obs_stylizer.web.stream_hub import Jpeg, StreamHub, Viewer

STREAM_PATH: Final = "/stream.mjpg"

_BOUNDARY: Final = b"frame"

_PAGE: Final = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>obs-stylizer</title>
<style>html,body{{margin:0;height:100%;background:#000}}
img{{width:100%;height:100%;object-fit:contain;display:block}}</style>
<img src="{STREAM_PATH}" alt="The styled picture">
</html>
"""


def stream_routes(hub: StreamHub) -> list[BaseRoute]:
    """The stream itself, at :data:`STREAM_PATH`."""
    # An object and not a function, so that Starlette hands over the bare connection.
    return [Route(STREAM_PATH, MjpegStream(hub), methods=["GET", "HEAD"])]


def page_route() -> BaseRoute:
    """A page at "/" that shows the stream and nothing else."""

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(_PAGE)

    return Route("/", page)


class MjpegStream:
    """An ASGI application that sends a hub's pictures as ``multipart/x-mixed-replace``."""

    def __init__(self, hub: StreamHub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one viewer until it or the hub goes away."""
        if not self._hub.is_open:
            none = PlainTextResponse("there is no stream: add the sink “http” to the settings", 404)
            await none(scope, receive, send)
            return
        viewer = self._hub.join()
        if viewer is None:
            full = PlainTextResponse("too many viewers, close one", 503, {"Retry-After": "5"})
            await full(scope, receive, send)
            return
        try:
            await send(_head())
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            await _first_of(_send_pictures(viewer, send), _until_gone(receive))
        finally:
            self._hub.leave(viewer)


async def _send_pictures(viewer: Viewer, send: Send) -> None:
    """Send the newest picture whenever the viewer has taken the last one."""
    await _send_part(send, b"--" + _BOUNDARY + b"\r\n")
    seen = 0
    while (jpeg := await viewer.next_picture(seen)) is not None:
        seen = jpeg.number
        await _send_part(send, _part(jpeg))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*works: object) -> None:
    """Run all until the first is done, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _send_part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _head() -> dict[str, object]:
    kind = b"multipart/x-mixed-replace; boundary=" + _BOUNDARY
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def _part(jpeg: Jpeg) -> bytes:
    """A picture and the boundary after it, without which browsers would show it one late."""
    head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg.data)
    return head + jpeg.data + b"\r\n--" + _BOUNDARY + b"\r\n"
