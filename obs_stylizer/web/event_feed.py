"""All who listen to events over a WebSocket, and the newest statistics."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.web.json_text import json_text

MAX_LISTENERS: Final = 32
HISTORY: Final = 120
_WAITING: Final = 64


class EventFeed:
    """Passes events on to listeners, each in its own event loop.

    One who is slow first misses statistics, and is then sent away; nobody waits for it.
    """

    def __init__(self, api: ControlApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._unsubscribe: Callable[[], None] | None = None
        self._statistics: Mapping[str, Any] | None = None
        self._history: deque[tuple[float, float, float]] = deque(maxlen=HISTORY)

    def start(self) -> None:
        """Begin to hear."""
        self._unsubscribe = self._api.subscribe(self._hear)

    def stop(self) -> None:
        """Send everybody away and hear no more; a second call does nothing."""
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.end()

    @property
    def statistics(self) -> Mapping[str, Any]:
        """The newest statistics: those of the last second, so that asking often costs nothing."""
        newest = self._statistics
        return self._api.statistics().as_dict() if newest is None else newest

    def status(self) -> dict[str, Any]:
        """Return all there is to say: what is on air, and the statistics where names differ."""
        statistics = dict(self.statistics)
        worker = {name: statistics.get(f"worker_{name}") for name in ("state", "pid", "restarts")}
        return {**statistics, **self._api.on_air.as_dict(), "worker": worker}

    def history(self) -> list[tuple[float, float, float]]:
        """Return frames sent and styled and the median latency (ms) of each of the last seconds."""
        return list(self._history)

    def join(self) -> Listener | None:
        """Take a place, inside the listener's event loop; None if all are taken."""
        listener = Listener()
        with self._lock:
            if len(self._listeners) >= MAX_LISTENERS or self._unsubscribe is None:
                return None
            self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Give the place up."""
        with self._lock:
            self._listeners.discard(listener)

    @property
    def listener_count(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def tell(self, kind: str, text: str, details: Mapping[str, Any]) -> None:
        """Tell all listeners something. Any thread may call."""
        with self._lock:
            listeners = list(self._listeners)
        if listeners:
            line = json_text({"kind": kind, "text": text, "details": details})
            for listener in listeners:
                listener.hear(line, can_miss=kind == EventKind.STATISTICS)

    def _hear(self, event: ControlEvent) -> None:
        if event.kind is EventKind.STATISTICS:
            self._take_statistics(event.details)
        self.tell(event.kind, event.text, event.details)

    def _take_statistics(self, statistics: Mapping[str, Any]) -> None:
        self._statistics = statistics
        fps, latency = statistics.get("fps", {}), statistics.get("latency_ms", {})
        self._history.append(
            (fps.get("sink", 0.0), fps.get("worker", 0.0), latency.get("median", 0.0))
        )


class Listener:
    """One who listens from an event loop; made by :meth:`EventFeed.join`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._lines: deque[str] = deque()
        self._ended = False
        self.was_too_slow = False

    def hear(self, line: str, *, can_miss: bool) -> None:
        """Put a line where it waits to be sent. Any thread may call."""
        if self._ended or (can_miss and len(self._lines) >= _WAITING // 4):
            return
        self._lines.append(line)
        if len(self._lines) > _WAITING:
            self.was_too_slow = True
            self._ended = True
        self._wake()

    def end(self) -> None:
        """Let :meth:`next_line` return None. Any thread may call."""
        self._ended = True
        self._wake()

    async def next_line(self) -> str | None:
        """Return the next line to send, or None at the end."""
        while True:
            self._woken.clear()
            if self._ended:
                return None
            if self._lines:
                return self._lines.popleft()
            await self._woken.wait()

    async def until_ended(self) -> None:
        """Return when there is no more to come, also while a line is still being sent."""
        while not self._ended:
            await asyncio.sleep(1.0)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop has ended, and it with it
            self._loop.call_soon_threadsafe(self._woken.set)
