"""When the daemon is to end by itself: after a time, after its frames, or with its source."""

from __future__ import annotations

from typing import Final, Protocol

from obs_stylizer.clock import Clock

_LAST_FRAME_SECONDS: Final = 5.0


class Shown(Protocol):
    """What is asked of the presenter."""

    @property
    def finished(self) -> bool:
        """Whether all the frames asked for were sent."""

    @property
    def newest_sequence(self) -> int:
        """Number of the newest styled frame that was sent; -1 before the first."""


class EndWatch:
    """Knows whether what was asked for has come to its end.

    Args:
        duration: seconds on air; None for no limit.
        clock: where time comes from.
    """

    def __init__(self, duration: float | None, clock: Clock) -> None:
        self._duration = duration
        self._clock = clock
        self._began_at = clock.now()
        self._last_frame: tuple[int, float] | None = None

    def begin(self) -> None:
        """Count the time from now on."""
        self._began_at = self._clock.now()

    def source_ended(self, frames: int) -> None:
        """Take note that the source has given so many frames, and will give no more."""
        self._last_frame = (frames - 1, self._clock.now())

    def is_over(self, shown: Shown) -> bool:
        """Whether the time, the frames or the source that were asked for are at their end."""
        now = self._clock.now()
        if self._duration is not None and now >= self._began_at + self._duration:
            return True
        if self._last_frame is not None:
            sequence, ended_at = self._last_frame
            if shown.newest_sequence >= sequence:
                return True
            # The worker may have been lost with it.
            return now - ended_at > _LAST_FRAME_SECONDS
        return shown.finished
