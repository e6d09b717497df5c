"""Frames without a style, from the worker, for as long as somebody looks at them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from obs_stylizer.clock import Clock
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.requests import GivePlain, Request

_WANTED_SECONDS: Final = 2.0


class PlainFrames:
    """Has the worker give plain frames while :meth:`newest` is called, and no longer.

    Args:
        request: the way to the worker.
    """

    def __init__(self, size: FrameSize, request: Callable[[Request], None], clock: Clock) -> None:
        self.mailbox = SharedMailbox.create(size)
        self._request = request
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted_at: float | None = None
        self._newest: Frame | None = None
        self._seen = 0
        self._closed = False

    def newest(self) -> Frame | None:
        """The newest plain frame, to be read only; None until the worker has given one."""
        with self._lock:
            if self._closed:
                return None
            if self._wanted_at is None:
                # What lies in the mailbox is from the last time that somebody looked.
                self._newest, self._seen = None, self.mailbox.published
                self._request(GivePlain(give=True))
            self._wanted_at = self._clock.now()
            published = self.mailbox.published
            if published != self._seen:
                plain = self.mailbox.read()
                if plain is not None:
                    self._newest, self._seen = plain.frame, published
            return self._newest

    def worker_started(self) -> None:
        """Ask a fresh worker for them, too, while somebody looks."""
        with self._lock:
            if self._wanted_at is not None:
                self._request(GivePlain(give=True))

    def rest_if_unwanted(self) -> None:
        """Let the worker rest where nobody has looked for a while; to be called now and then."""
        with self._lock:
            wanted_at = self._wanted_at
            if wanted_at is not None and self._clock.now() - wanted_at > _WANTED_SECONDS:
                self._wanted_at = self._newest = None
                self._request(GivePlain(give=False))

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self.mailbox.close()
