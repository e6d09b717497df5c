"""What the daemon does once a second, and its watch for the end; nothing stops either."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from obs_stylizer.clock import Clock

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05
_QUIET_SECONDS: Final = 0.1


class Housekeeping:
    """Does each job once a second, on a thread of its own, until the daemon ends.

    A job that fails is done again the next second; it is logged when it begins to fail.

    Args:
        is_over: whether the daemon is to end; asked twenty times a second, or ten.
        jobs: what is to be done, by a name for the log.
        ending: is set when ``is_over`` says so, and ends the thread.
        is_quiet: whether ten times a second will do, to cost less.
    """

    def __init__(
        self,
        is_over: Callable[[], bool],
        jobs: Mapping[str, Callable[[], None]],
        ending: threading.Event,
        clock: Clock,
        is_quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_over = is_over
        self._is_quiet = is_quiet
        self._jobs = dict(jobs)
        self._ending = ending
        self._clock = clock
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """Wait for the end of what is being done; False if that takes longer."""
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        due = self._clock.now()
        while not self._ending.wait(_QUIET_SECONDS if self._is_quiet() else _POLL_SECONDS):
            self._do("the watch for the end", self._watch)
            now = self._clock.now()
            if now >= due and not self._ending.is_set():
                # After the machine slept, the seconds it missed are not made up for.
                due = max(due + _EVERY_SECONDS, now)
                for name, job in self._jobs.items():
                    self._do(name, job)

    def _watch(self) -> None:
        if self._is_over():
            self._ending.set()

    def _do(self, name: str, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:
            if name not in self._failing:
                self._failing.add(name)
                log.exception("%s failed; it is tried again", name)
        else:
            self._failing.discard(name)
