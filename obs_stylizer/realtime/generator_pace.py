"""Whether a generator keeps up with the source."""

from __future__ import annotations

from typing import Final

_TOO_BUSY: Final = 0.95
_HEADROOM: Final = 0.7
"""Time of a frame's work as a share of the time between frames, to be too slow and not to be."""
_FAR_TOO_BUSY: Final = 1.3
"""The same of a run in the warm-up, which other work may have slowed down."""
_BUSY_FRAMES: Final = 8
_HEADROOM_FRAMES: Final = 150


class GeneratorPace:
    """Tells from the time that frames take whether their generator is too slow for the source."""

    def __init__(self) -> None:
        self.is_too_slow = False
        self._leaning = 0

    def expect(self, takes: float, period: float) -> None:
        """Foresee from its warm-up whether a generator will be too slow.

        Args:
            takes: seconds that a frame took.
            period: seconds between two frames of the source; 0 where unknown.
        """
        if 0 < _FAR_TOO_BUSY * period < takes:
            self.is_too_slow, self._leaning = True, 0

    def observe(self, takes: float, period: float) -> None:
        """Learn of one frame: some of the same kind, one after the other, change the verdict.

        Args:
            takes: seconds of work in it.
            period: see :meth:`expect`.
        """
        if period <= 0:
            self.is_too_slow = False
            return
        busy = takes / period
        wrong = busy < _HEADROOM if self.is_too_slow else busy > _TOO_BUSY
        self._leaning = self._leaning + 1 if wrong else 0
        if self._leaning >= (_HEADROOM_FRAMES if self.is_too_slow else _BUSY_FRAMES):
            self.is_too_slow, self._leaning = not self.is_too_slow, 0
