"""How far apart the frames of a source are."""

from __future__ import annotations

import numpy as np


class SourcePeriod:
    """Learns the time between two frames of a source from those that arrive."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self.seconds = 0.0
        """As learnt so far; 0 at the beginning."""

    def observe(self, sequence: int, moment: float) -> None:
        """Take note of a frame.

        Args:
            sequence: its number; numbers left out are frames that were not seen.
            moment: when it was captured, in seconds.
        """
        last, self._last = self._last, (sequence, moment)
        if last is None or sequence <= last[0] or moment <= last[1]:
            return
        period = (moment - last[1]) / (sequence - last[0])
        share = 1.0 if self.seconds == 0 else 0.1
        self.seconds = float(np.clip(self.seconds + share * (period - self.seconds), 0, 1.0))
