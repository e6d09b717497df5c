"""What waits for the one thread that talks to OBS."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

log = logging.getLogger(__name__)

Work = Callable[[], None]

_MAX_WAITING: Final = 1000


class Inbox:
    """Any thread puts work in and never waits; one thread takes it out, in that order."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._overflowed = False
        self._lock = threading.Lock()
        self._newest: dict[str, Any] = {}

    def put(self, do: Callable[..., None], *arguments: Any) -> None:
        """Have something done; only for what cannot come in floods."""
        self._work.put(partial(do, *arguments))

    def put_if_room(self, do: Callable[..., None], *arguments: Any) -> None:
        """The same, unless too much waits already."""
        if self._work.qsize() < _MAX_WAITING:
            self._overflowed = False
            self.put(do, *arguments)
        elif not self._overflowed:
            self._overflowed = True
            log.warning("OBS cannot keep up with what happens: some of it is left out")

    def put_newest(self, kind: str, do: Callable[[Any], None], value: Any) -> None:
        """Have something done with ``value``, in place of one of its kind that still waits."""
        with self._lock:
            waits = kind in self._newest
            self._newest[kind] = value
        if not waits:
            self.put(self._do_newest, kind, do)

    def _do_newest(self, kind: str, do: Callable[[Any], None]) -> None:
        with self._lock:
            value = self._newest.pop(kind)
        do(value)

    def take(self, seconds: float) -> Work | None:
        """Return what waits longest, or None if nothing comes in that time."""
        try:
            return self._work.get(timeout=seconds)
        except queue.Empty:
            return None

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._work.empty()
