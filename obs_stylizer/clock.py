"""Time, passed in wherever it is needed, so that nothing has to be tested by sleeping."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> float:
        """Seconds on the clock that all processes of the machine share."""
        ...

    def wait_until(self, moment: float) -> None:
        """Return at ``moment`` (a value of :meth:`now`), or at once if it has passed."""
        ...


class SystemClock:
    """The machine's own clock (:func:`time.perf_counter`)."""

    def now(self) -> float:
        """See :class:`Clock`."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """See :class:`Clock`."""
        rest = moment - time.perf_counter()
        if rest > 0:
            time.sleep(rest)


class ManualClock:
    """A clock that moves only when told to, or when somebody waits on it. For tests and files."""

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """See :class:`Clock`."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        with self._lock:
            self._now += seconds

    def wait_until(self, moment: float) -> None:
        """Jump to ``moment``."""
        with self._lock:
            self._now = max(self._now, moment)
