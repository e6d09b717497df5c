"""The WebSocket over which the panel and scripts hear what happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Final

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from obs_stylizer.web.event_feed import EventFeed, Listener
from obs_stylizer.web.json_text import json_text

EVENTS_PATH: Final = "/api/events"

_POLICY: Final = 1008
_TRY_LATER: Final = 1013
_GOING_AWAY: Final = 1001


def event_routes(event_feed: EventFeed) -> APIRouter:
    """Make the route of :data:`EVENTS_PATH`."""
    router = APIRouter()

    @router.websocket(EVENTS_PATH)
    async def events(socket: WebSocket) -> None:
        listener = event_feed.join()
        await socket.accept()
        if listener is None:
            await socket.close(_TRY_LATER, "too many listeners, close one")
            return
        try:
            await _serve(socket, listener, event_feed)
        finally:
            event_feed.leave(listener)

    return router


async def _serve(socket: WebSocket, listener: Listener, event_feed: EventFeed) -> None:
    """Send lines until one of both is gone."""
    details = {**event_feed.status(), "history": event_feed.history()}
    hello = {"kind": "hello", "text": "", "details": details}
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        await _first_of(
            _send(socket, listener, json_text(hello)),
            _until_gone(socket),
            # What is stuck in sending to somebody who does not read is given up.
            listener.until_ended(),
        )
        code = _TRY_LATER if listener.was_too_slow else _GOING_AWAY
        await asyncio.wait_for(socket.close(code), 1.0)


async def _send(socket: WebSocket, listener: Listener, first: str) -> None:
    await socket.send_text(first)
    while (line := await listener.next_line()) is not None:
        await socket.send_text(line)


async def _until_gone(socket: WebSocket) -> None:
    """Return when the other side has left; nothing is heard from it."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await socket.close(_POLICY, "send commands to POST /api/command")
        return


async def _first_of(*works: Awaitable[None]) -> None:
    """Run all until the first is done, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
