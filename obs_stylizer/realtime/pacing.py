"""When to send: the presenter's metronome, kept in step with the frames' arrival.

A free-running clock at the source's own rate would meet each frame at an arbitrary age, up to a
whole period old, and drift through it. The metronome therefore turns its phase slowly until a
tick falls just after frames arrive: the picture is as fresh as it can be and hardly one is
repeated. All of it is arithmetic on times that are passed in.
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
_MOST_RESERVE: Final = 0.012
_GAIN: Final = 0.1
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
        self._worked: deque[float] = deque(maxlen=_WINDOW)

    def ticked(self, now: float) -> float:
        """Count the tick that was due at :attr:`next_tick` as done at ``now``.

        Returns:
            Seconds by which it was late. Ticks that passed meanwhile are counted in ``missed``
            and left out: nobody wants a burst of stale frames.
        """
        late = now - self.next_tick
        self.next_tick += self.period + self._shift
        self._shift = 0.0
        if self.next_tick <= now:
            skipped = math.floor((now - self.next_tick) / self.period) + 1
            self.missed += skipped
            self.next_tick += skipped * self.period
        return late

    def arrived(self, age: float, worked: float) -> None:
        """Learn of a fresh frame at this tick.

        Frames are captured at a steady rate, so their age at the ticks, taken as an angle on the
        circle of one period, is nearly always the same; the length of the mean vector tells how
        nearly (circular statistics). Where it is not, as from a source of another rate, the
        metronome is left alone. Where it is, ticks move to where a frame is just old enough to
        have been worked on, however long that took of late: the longest time of the last 256 but
        one, though no more than half a period or 12 ms beyond the usual one.

        Args:
            age: seconds from capture to this tick.
            worked: seconds from capture to the mailbox.
        """
        self._phase += _MEMORY * (cmath.exp(2j * math.pi * age / self.period) - self._phase)
        self._worked.append(worked)
        if not self.locked:
            return
        times = sorted(self._worked)
        longest = times[-1 - min(_OUTLIERS, len(times) // 64)]
        reserve = min(_MOST_RESERVE, self.period / 2)
        wanted = min(longest, times[len(times) // 2] + reserve) + _MARGIN
        mean = cmath.phase(self._phase) / (2 * math.pi) * self.period
        error = math.remainder(wanted - mean, self.period)
        limit = _MAX_SHIFT * self.period
        self._shift = max(-limit, min(limit, _GAIN * error))
        # The frames seen so far will have been that much older, seen from the next tick.
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
