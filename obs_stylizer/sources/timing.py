"""When the frames of a source without a clock of its own fall due."""

from __future__ import annotations

from obs_stylizer.clock import Clock


class FrameTimer:
    """Ticks at a steady rate; ticks that nobody waited for are left out, not made up for.

    Args:
        clock: where time comes from.
        fps: ticks a second.
        paced: False makes every frame fall due at once.
    """

    def __init__(self, clock: Clock, fps: float, *, paced: bool) -> None:
        self._clock = clock
        self._period = 1.0 / fps
        self._paced = paced
        self._next: float | None = None

    def restart(self) -> None:
        """Let the next frame fall due at once."""
        self._next = None

    def wait(self, timeout: float) -> float | None:
        """Wait for the next tick; return its time, or None if it is not within ``timeout`` s."""
        now = self._clock.now()
        if not self._paced or self._next is None:
            self._next = now + self._period
            return now
        due = self._next
        if due > now + timeout:
            self._clock.wait_until(now + timeout)
            return None
        if now - due > self._period:
            # Late by a whole frame: the missed ticks are gone, but the beat is kept.
            due += self._period * int((now - due) / self._period)
        self._clock.wait_until(due)
        self._next = due + self._period
        return due
