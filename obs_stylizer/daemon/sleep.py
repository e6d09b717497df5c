"""Sleep: when nobody has watched for a while, the source is closed until somebody does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from obs_stylizer.clock import Clock

log = logging.getLogger(__name__)


class Sleep:
    """Decides when to sleep and when to wake.

    Args:
        seconds: without anybody watching, after which it sleeps; None for never.
        is_watched: whether anybody watches now, or may.
        change: is told True to sleep and False to wake; on the thread that checks.
    """

    def __init__(
        self,
        seconds: float | None,
        is_watched: Callable[[], bool],
        change: Callable[[bool], None],
        clock: Clock,
    ) -> None:
        self._seconds = seconds
        self._is_watched = is_watched
        self._change = change
        self._clock = clock
        self._watched_at = clock.now()
        self._looked_at = threading.Event()
        self.asleep = False

    def look(self) -> None:
        """Take note that somebody looked just now. Any thread."""
        self._looked_at.set()

    def check(self) -> None:
        """Sleep or wake where it is time to; to be called many times a second."""
        if self._seconds is None:
            return
        now = self._clock.now()
        looked = self._looked_at.is_set()
        if looked:
            self._looked_at.clear()
        if looked or self._is_watched():
            self._watched_at = now
            if self.asleep:
                self.asleep = False
                log.info("awake: somebody watches")
                self._change(False)
        elif not self.asleep and now - self._watched_at >= self._seconds:
            self.asleep = True
            log.info("asleep: nobody has watched for %g s; the source is closed", self._seconds)
            self._change(True)
