"""Signs of life for a filter in OBS, from a thread of their own."""

from __future__ import annotations

import threading
import time
from typing import Final

from obs_stylizer.obs_filter.mapping import FilterMapping

_BEAT_SECONDS: Final = 0.05


class Heartbeat:
    """Renews the sign of life in a filter's file for as long as somebody works for it.

    OBS shows the plain source 0.35 s after the last sign. If they came with the answers only, a
    process that is killed could not be told from a generator that takes its time.

    Args:
        mapping: of the filter; to be closed after the heartbeat.
    """

    def __init__(self, mapping: FilterMapping) -> None:
        self._mapping = mapping
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def go_on(self, seconds: float) -> None:
        """Leave signs of life for so many seconds, the first at once."""
        with self._lock:
            self._until = time.perf_counter() + seconds
            self._mapping.beat()

    def rest(self) -> None:
        """Leave none, and take back those there were: OBS shows the plain source at once."""
        with self._lock:
            self._until = float("-inf")
            self._mapping.rest()

    def close(self) -> None:
        """Rest for good; the mapping is not touched any more."""
        self._ending.set()
        self.rest()

    def _run(self) -> None:
        while not self._ending.wait(_BEAT_SECONDS):
            with self._lock:
                if time.perf_counter() < self._until:
                    self._mapping.beat()
