"""When to give a picture of something that tells of its changes only."""

from __future__ import annotations

from typing import Final

from obs_stylizer.clock import Clock

_FASTEST: Final = 1.1
"""Of the wished rate: pictures that come a little quicker than wished are not made to wait."""

_LONGEST_DISAGREEMENT: Final = 1.25
"""Of a period: how late a picture may be before the last is repeated in its place."""


class DamageTimer:
    """Lets new pictures through at once, up to a rate, and has the last repeated in between.

    Args:
        clock: where time comes from.
        fps: pictures a second.
        paced: False asks for a picture at every call.
    """

    def __init__(self, clock: Clock, fps: float, *, paced: bool) -> None:
        self._clock = clock
        self._period = 1.0 / fps
        self._shortest = self._period / _FASTEST
        self._paced = paced
        self._turn_at = 0.0
        self._repeat_at = 0.0

    def restart(self, timeout: float) -> None:
        """Wait ``timeout`` seconds for the first picture."""
        self._turn_at = float("-inf")
        self._repeat_at = self._clock.now() + timeout

    def wait_for_turn(self, timeout: float) -> float | None:
        """Wait until a picture may be given.

        Returns:
            Until when to wait for a new one; None if none may be given within ``timeout`` seconds.
        """
        now = self._clock.now()
        if not self._paced:
            return now + timeout if self._turn_at == float("-inf") else now
        if self._turn_at > now + timeout:
            self._clock.wait_until(now + timeout)
            return None
        self._clock.wait_until(self._turn_at)
        return min(now + timeout, self._repeat_at)

    def is_time_to_repeat(self, until: float) -> bool:
        """Whether the last picture is due again, now that no new one came ``until`` then."""
        if not self._paced:
            return True
        # A clock that moves only when it is waited on has to be moved.
        self._clock.wait_until(until)
        return self._clock.now() >= self._repeat_at

    def given(self, *, fresh: bool) -> None:
        """Take note that a picture was given, a new one or the last once more."""
        now = self._clock.now()
        # What comes unevenly may come half a period early, but not more often on the whole.
        self._turn_at = max(self._turn_at, now - self._shortest / 2) + self._shortest
        self._repeat_at = now + self._period * (_LONGEST_DISAGREEMENT if fresh else 1.0)
