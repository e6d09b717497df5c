"""When to send: the presenter's metronome, kept in step with the frames' arrival.

A free-running clock at the source's own rate would meet each frame at an arbitrary age, up to a
whole period old, and drift through it. The metronome therefore turns its phase slowly until a
tick falls just after frames usually arrive: the picture is as fresh as it can be and hardly one
is repeated. All of it is arithmetic on times that are passed in.
"""

from __future__ import annotations

import cmath
import math
from collections import deque
from typing import Final

_MEMORY: Final = 0.1
_LOCKED: Final = 0.6
_MARGIN: Final = 0.0015
_WINDOW: Final = 256
_OUTLIERS: Final = 1
_MOST_WAIT: Final = 0.5
_GAIN_LATER: Final = 0.2
_GAIN_EARLIER: Final = 0.02
_MAX_SHIFT: Final = 0.02


class Metronome:
    """Times of ticks, ``period`` seconds apart, phase-locked to arrivals where they are regular.

    Args:
        fps: ticks a second.
        start: time of the first tick.
    """

    def __init__(self, fps: float, start: float) -> None:
        self.period = 1.0 / fps
        self.next_tick = start
        self.missed = 0
        self._phase = 0j
        self._shift = 0.0
        # Waits as they would have been without any of the shifts so far.
        self._waits: deque[float] = deque(maxlen=_WINDOW)
        self._shifted = 0.0

    def ticked(self, now: float) -> float:
        """Count the tick that was due at :attr:`next_tick` as done at ``now``.

        Returns:
            Seconds by which it was late. Ticks that passed meanwhile are counted in ``missed``
            and left out: nobody wants a burst of stale frames.
        """
        late = now - self.next_tick
        self.next_tick += self.period + self._shift
        self._shifted += self._shift
        self._shift = 0.0
        if self.next_tick <= now:
            skipped = math.floor((now - self.next_tick) / self.period) + 1
            self.missed += skipped
            self.next_tick += skipped * self.period
        return late

    def arrived(self, waited: float) -> None:
        """Learn that a frame lay in the mailbox for ``waited`` seconds before its tick.

        The phase of arrival is an angle on the circle of one period; the length of the mean
        vector tells how regular arrivals are (circular statistics). Where they are not, as from
        a source of another rate, the metronome is left alone. Where they are, ticks move until
        the latest of the last 256 arrivals, but for one, comes just before its tick: quickly
        when frames come too late, since those are repeated ticks, and slowly back again.
        """
        angle = 2 * math.pi * waited / self.period
        self._phase += _MEMORY * (cmath.exp(1j * angle) - self._phase)
        self._waits.append(waited - self._shifted)
        if not self.locked:
            return
        mean = cmath.phase(self._phase) / (2 * math.pi) * self.period
        # A frame that just missed its tick waited almost a period: that is a little less than 0.
        waits = sorted(
            mean + math.remainder(wait + self._shifted - mean, self.period) for wait in self._waits
        )
        error = _MARGIN - waits[min(_OUTLIERS, len(waits) // 64)]
        error = min(error, _MOST_WAIT * self.period - mean)
        limit = _MAX_SHIFT * self.period
        gain = _GAIN_LATER if error > 0 else _GAIN_EARLIER
        self._shift = max(-limit, min(limit, gain * error))
        # The frames seen so far will have waited that much longer, seen from the next tick.
        self._phase *= cmath.exp(2j * math.pi * self._shift / self.period)

    @property
    def locked(self) -> bool:
        """Whether arrivals are regular enough to follow."""
        return abs(self._phase) >= _LOCKED


class Backoff:
    """Growing pauses between tries: ``first`` seconds, doubled each time up to ``most``."""

    def __init__(self, first: float = 0.25, most: float = 5.0) -> None:
        self._first = first
        self._most = most
        self._pause = 0.0

    def next(self) -> float:
        """Return the pause before the next try, in seconds."""
        self._pause = min(self._most, self._pause * 2 or self._first)
        return self._pause

    def reset(self) -> None:
        """Begin with short pauses again, after a success."""
        self._pause = 0.0
