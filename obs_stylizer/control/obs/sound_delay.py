"""How much later sound has to be, so that it is in step with a picture that takes its time."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final

STEP_MS: Final = 15.0
"""Smaller changes are not worth a jump in the sound."""

_WINDOW: Final = 5
_LONGEST_DISAGREEMENT: Final = 30


class SoundDelay:
    """Follows the latency, measured about once a second, in few and well-founded steps.

    A step waits until the last five measurements agree within 15 ms; where they never do, their
    median has to do after half a minute.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_WINDOW)
        self._since_step = 0
        self.milliseconds: int | None = None
        """What was decided; None before anything was."""

    def observe(self, latency_ms: float) -> int | None:
        """Take in a measurement; return the delay to go over to, or None to leave it."""
        self._recent.append(latency_ms)
        self._since_step += 1
        if len(self._recent) < _WINDOW:
            return None
        middle = statistics.median(self._recent)
        if self.milliseconds is not None and abs(middle - self.milliseconds) <= STEP_MS:
            self._since_step = 0
            return None
        agree = max(self._recent) - min(self._recent) <= STEP_MS
        if not agree and self._since_step < _LONGEST_DISAGREEMENT:
            return None
        self._since_step = 0
        self.milliseconds = round(middle)
        return self.milliseconds
