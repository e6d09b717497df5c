"""The governor: how large the generator may work so that the picture stays live.

A machine that cannot keep up at a preset's process size shows fewer frames, and late ones. The
governor then makes the generator work on a smaller frame, and on a larger one again when there
is room. It is arithmetic on times that are passed in.
"""

from __future__ import annotations

from typing import Final

SCALES: Final = (1.0, 0.8, 0.65, 0.5)
"""Sides of the process size, as shares of the preset's own."""

_TOO_BUSY: Final = 1.0
_FITS: Final = 0.85
_ROOMY: Final = 0.7
_SLOW_SECONDS: Final = 2.0
_ROOMY_SECONDS: Final = 10.0
_MOST_PATIENCE: Final = 300.0


class Governor:
    """Chooses one of :data:`SCALES` for each generator.

    Going up again is tried with growing patience: a machine that was too slow for a size once is
    likely to be so the next time.
    """

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}
        self._patience: dict[str, float] = {}
        self._generator = ""
        self._slow_since: float | None = None
        self._roomy_since: float | None = None

    def scale_for(self, generator: str) -> float:
        """Return the scale at which that generator is to start, as last found out."""
        return SCALES[self._levels.get(generator, 0)]

    def observe(self, now: float, generator: str, busy: float, wanted_fps: float) -> float | None:
        """Learn that a frame takes ``busy`` seconds of the worker's time.

        Args:
            now: seconds on any clock.
            generator: what runs, by any name.
            busy: seconds of work in a frame, waiting left out.
            wanted_fps: frames a second that are to be styled.

        Returns:
            The scale to go over to, or None to stay.
        """
        if generator != self._generator:
            self._generator = generator
            self._slow_since = self._roomy_since = None
        if busy <= 0 or wanted_fps <= 0:
            return None
        level = self._levels.get(generator, 0)
        load = busy * wanted_fps
        if load > _TOO_BUSY:
            self._roomy_since = None
            self._slow_since = now if self._slow_since is None else self._slow_since
            if now - self._slow_since >= _SLOW_SECONDS:
                return self._go(generator, _fitting(level, load))
            return None
        self._slow_since = None
        if level and load * _grown(level, level - 1) < _ROOMY:
            self._roomy_since = now if self._roomy_since is None else self._roomy_since
            if now - self._roomy_since >= self._patience.get(generator, _ROOMY_SECONDS):
                patience = self._patience.get(generator, _ROOMY_SECONDS)
                self._patience[generator] = min(_MOST_PATIENCE, 2 * patience)
                return self._go(generator, level - 1)
        else:
            self._roomy_since = None
        return None

    def _go(self, generator: str, level: int) -> float | None:
        self._slow_since = self._roomy_since = None
        if level == self._levels.get(generator, 0):
            return None
        self._levels[generator] = level
        return SCALES[level]


def _grown(level: int, other: int) -> float:
    """Work at level ``other`` for one unit of work at ``level``: it grows with the area."""
    return (SCALES[other] / SCALES[level]) ** 2


def _fitting(level: int, load: float) -> int:
    """Return the first level below ``level`` that fits, or the last there is."""
    for other in range(level + 1, len(SCALES)):
        if load * _grown(level, other) <= _FITS:
            return other
    return len(SCALES) - 1
