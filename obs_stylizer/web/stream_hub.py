"""From the newest frame to the newest JPEG, made once for all who watch, and only if any do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass
from typing import Final

import cv2

from obs_stylizer.frames import Frame

log = logging.getLogger(__name__)

MAX_VIEWERS: Final = 64
JPEG_QUALITY: Final = 88

_ALIVE_SECONDS: Final = 1.0
"""How often a viewer gets a picture that stands still, so that a broken link is noticed."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """An encoded picture and its number, which counts up from 1."""

    data: bytes
    number: int


class StreamHub:
    """Takes frames from one thread, encodes in its own, and wakes viewers in theirs.

    No queue is longer than one: a viewer that is slow misses pictures, and holds up nobody.

    Args:
        quality: of the JPEG, 1 to 100.
        max_viewers: how many may watch at once.
    """

    def __init__(self, *, quality: int = JPEG_QUALITY, max_viewers: int = MAX_VIEWERS) -> None:
        self._quality = quality
        self._max_viewers = max_viewers
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._in_work: Frame | None = None
        self._jpeg: Jpeg | None = None
        self._encoded = 0
        self._viewers: set[Viewer] = set()
        self._is_open = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to take frames; a second call does nothing."""
        with self._changed:
            if self._is_open:
                return
            self._is_open = True
            self._newest = None
            self._jpeg = None
        self._thread = threading.Thread(target=self._encode, name="jpeg", daemon=True)
        self._thread.start()

    def publish(self, frame: Frame) -> None:
        """Make ``frame`` the current picture; returns at once. Its pixels must stay as they are."""
        with self._changed:
            self._newest = frame
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget the current picture: it is too old for whoever comes next."""
        with self._changed:
            self._newest = None
            self._jpeg = None

    def close(self) -> None:
        """Send all viewers away and stop encoding; a second call does nothing."""
        with self._changed:
            self._is_open = False
            self._newest = None
            self._jpeg = None
            viewers = list(self._viewers)
            self._changed.notify_all()
        for viewer in viewers:
            viewer.wake()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    @property
    def is_open(self) -> bool:
        """It takes frames."""
        return self._is_open

    @property
    def viewer_count(self) -> int:
        """How many watch now."""
        return len(self._viewers)

    @property
    def encoded_count(self) -> int:
        """How many pictures were encoded since it was made."""
        return self._encoded

    @property
    def current(self) -> Jpeg | None:
        """The newest encoded picture; None while nobody has watched or after closing."""
        return self._jpeg

    def join(self) -> Viewer | None:
        """Take a place among the viewers, inside their event loop; None if all are taken."""
        viewer = Viewer(self)
        with self._changed:
            if len(self._viewers) >= self._max_viewers:
                return None
            if not self._viewers:
                # Encoded while others watched, maybe long ago.
                self._jpeg = None
            self._viewers.add(viewer)
            self._changed.notify_all()
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Give the place up."""
        with self._changed:
            self._viewers.discard(viewer)

    def _encode(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._is_open or self._is_wanted())
                frame = self._newest
                if not self._is_open or frame is None:
                    return
                self._in_work = frame
            data = encode_jpeg(frame, self._quality)
            with self._changed:
                if not self._is_open:
                    return
                self._encoded += 1
                self._jpeg = Jpeg(data, self._encoded)
                viewers = list(self._viewers)
            for viewer in viewers:
                viewer.wake()

    def _is_wanted(self) -> bool:
        if self._newest is None or not self._viewers:
            return False
        return self._newest is not self._in_work or self._jpeg is None


class Viewer:
    """One who watches a hub from an event loop; made by :meth:`StreamHub.join`."""

    def __init__(self, hub: StreamHub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Tell it, from any thread, that something has changed."""
        with contextlib.suppress(RuntimeError):  # its loop has ended, and it with it
            self._loop.call_soon_threadsafe(self._woken.set)

    async def next_picture(self, seen: int) -> Jpeg | None:
        """Return the newest picture once it is newer than number ``seen``, or after a second.

        Returns:
            The picture, or None once the hub is closed.
        """
        while True:
            self._woken.clear()
            if not self._hub.is_open:
                return None
            jpeg = self._hub.current
            if jpeg is not None and jpeg.number > seen:
                return jpeg
            try:
                await asyncio.wait_for(self._woken.wait(), _ALIVE_SECONDS)
            except TimeoutError:
                if jpeg is not None:
                    return jpeg


def encode_jpeg(frame: Frame, quality: int) -> bytes:
    """Encode a frame as JPEG."""
    bgr = cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RuntimeError(f"OpenCV could not encode a frame of {frame.size}")
    return data.tobytes()
