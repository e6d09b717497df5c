"""A small picture of what goes in and what comes out, at a small rate, while somebody looks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from obs_stylizer.control.api import ControlApi
from obs_stylizer.frames import Frame, Pixels
from obs_stylizer.web.answers import refusal
from obs_stylizer.web.stream_hub import StreamHub
from obs_stylizer.web.stream_routes import MjpegStream

log = logging.getLogger(__name__)

PREVIEW_PATH: Final = "/preview.mjpg"
PREVIEW_WIDTH: Final = 640
PREVIEW_FPS: Final = 12.0

_QUALITY: Final = 80
_AGAIN_SECONDS: Final = 1.0
_MAX_VIEWERS: Final = 16


class View(StrEnum):
    """What a preview shows."""

    RAW = "raw"
    STYLED = "styled"
    SPLIT = "split"
    """The left half without style, the right half with it."""
    PAIR = "pair"
    """Both whole, side by side: the panel draws its movable divider from these."""


class Preview:
    """Makes small pictures from the daemon's frames, once for all who look at the same view."""

    def __init__(self, api: ControlApi) -> None:
        self._api = api
        self._hubs = {view: StreamHub(quality=_QUALITY, max_viewers=_MAX_VIEWERS) for view in View}
        self._streams = {view: MjpegStream(hub) for view, hub in self._hubs.items()}
        self._made_of: dict[View, object] = {}
        self._looked_at = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._fails = False

    def start(self) -> None:
        """Be ready for viewers."""
        self._stopping.clear()
        for hub in self._hubs.values():
            hub.start()
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send all viewers away; a second call does nothing."""
        self._stopping.set()
        self._looked_at.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        for hub in self._hubs.values():
            hub.close()

    def route(self) -> BaseRoute:
        """The route of :data:`PREVIEW_PATH`."""
        return Route(PREVIEW_PATH, _PreviewStream(self), methods=["GET", "HEAD"])

    def stream(self, view: View) -> MjpegStream:
        """Return the stream of a view, and begin to make its pictures."""
        self._looked_at.set()
        return self._streams[view]

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._looked_at.wait()
            self._looked_at.clear()
            # Whoever has just asked is counted a moment later.
            idle = 0
            while idle < PREVIEW_FPS and not self._stopping.wait(1 / PREVIEW_FPS):
                try:
                    idle = 0 if self._show() else idle + 1
                    self._fails = False
                except Exception:
                    if not self._fails:
                        self._fails = True
                        log.exception("the preview failed; it is tried again")
                    self._stopping.wait(_AGAIN_SECONDS)

    def _show(self) -> bool:
        """Show a picture in every view that is looked at; return whether any is."""
        views = [view for view, hub in self._hubs.items() if hub.viewer_count]
        styled = plain = None
        if any(view is not View.RAW for view in views):
            styled = self._api.styled()
        if any(view is not View.STYLED for view in views):
            plain = self._api.plain()
        made_of = (_moment(plain), _moment(styled))
        for view, hub in self._hubs.items():
            if view not in views:
                self._made_of.pop(view, None)
                hub.clear()
            elif self._made_of.get(view) != made_of:
                # The hub repeats what stands still by itself.
                frame = _compose(view, _small(plain), _small(styled))
                if frame is not None:
                    self._made_of[view] = made_of
                    hub.publish(frame)
        return bool(views)


class _PreviewStream:
    """An ASGI application that chooses the view that was asked for."""

    def __init__(self, preview: Preview) -> None:
        self._preview = preview

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope).query_params.get("view", View.STYLED.value)
        try:
            serve: Callable[..., object] = self._preview.stream(View(asked))
        except ValueError:
            known = ", ".join(View)
            serve = refusal(400, f"there is no view “{asked}”", f"views are: {known}")
        await serve(scope, receive, send)  # type: ignore[misc]


def _moment(frame: Frame | None) -> tuple[int, float] | None:
    return None if frame is None else (frame.sequence, frame.captured_at)


def _small(frame: Frame | None) -> Frame | None:
    if frame is None:
        return None
    height, width = frame.pixels.shape[:2]
    wanted = min(width, PREVIEW_WIDTH)
    size = (wanted, max(2, 2 * round(height * wanted / width / 2)))
    pixels = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
    return Frame(np.asarray(pixels, np.uint8), frame.sequence, frame.captured_at)


def _compose(view: View, plain: Frame | None, styled: Frame | None) -> Frame | None:
    if view is View.STYLED:
        return styled
    if view is View.RAW:
        return plain
    if plain is None or styled is None or plain.pixels.shape != styled.pixels.shape:
        return None
    pixels: Pixels
    if view is View.PAIR:
        pixels = np.hstack((plain.pixels, styled.pixels))
    else:
        middle = plain.pixels.shape[1] // 2
        pixels = styled.pixels.copy()
        pixels[:, :middle] = plain.pixels[:, :middle]
        pixels[:, middle - 1 : middle + 1] = 255
    return Frame(pixels, styled.sequence, styled.captured_at)
