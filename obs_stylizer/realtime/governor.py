"""The governor: how much work a generator is given so that the picture stays live.

A machine that cannot keep up with a preset's generator at its process size shows fewer frames,
and late ones. The governor then goes over to the generator's lite variant, where there is one,
and to smaller frames; and back again when there is room. It is arithmetic on times that are
passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work a generator is given for a frame.

    Attributes:
        scale: sides of the process size, as shares of the preset's own.
        lite: take the generator's lite variant.
    """

    scale: float = 1.0
    lite: bool = False

    def __str__(self) -> str:
        return f"{'the lite generator at ' if self.lite else ''}{100 * self.scale:.0f} %"


FULL: Final = Effort()
"""What a preset asks for."""

_SCALES: Final = (1.0, 0.8, 0.65, 0.5)
EFFORTS: Final = tuple(Effort(scale) for scale in _SCALES)
"""From the most work to the least, for a generator that has no lite variant."""

LITE_EFFORTS: Final = (FULL, *(Effort(scale, lite=True) for scale in _SCALES))
"""The same for one that has: the lite one at full size is sharper than the full one at half."""

_LITE_WORK: Final = 0.5
"""Work of a lite generator as a share of the full one's at the same size, as measured with
``paintings``: 32 maps and four blocks for 48 and five."""

_TOO_BUSY: Final = 1.0
_FITS: Final = 0.85
_ROOMY: Final = 0.7
_SLOW_SECONDS: Final = 2.0
_ROOMY_SECONDS: Final = 10.0
_MOST_PATIENCE: Final = 300.0


class Governor:
    """Chooses one of :data:`EFFORTS` or :data:`LITE_EFFORTS` for each generator.

    Going up again is tried with growing patience: a machine that was too slow for a size once is
    likely to be so the next time.
    """

    def __init__(self) -> None:
        self._efforts: dict[str, Effort] = {}
        self._patience: dict[str, float] = {}
        self._generator = ""
        self._slow_since: float | None = None
        self._roomy_since: float | None = None

    def effort_for(self, generator: str) -> Effort:
        """Return the effort with which that generator is to start, as last found out."""
        return self._efforts.get(generator, FULL)

    def observe(
        self, now: float, generator: str, busy: float, wanted_fps: float, has_lite: bool = False
    ) -> Effort | None:
        """Learn that a frame takes ``busy`` seconds of the worker's time.

        Args:
            now: seconds on any clock.
            generator: what runs, by any name.
            busy: seconds of work in a frame, waiting left out.
            wanted_fps: frames a second that are to be styled.
            has_lite: whether the generator has a lite variant.

        Returns:
            The effort to go over to, or None to stay.
        """
        if generator != self._generator:
            self._generator = generator
            self._slow_since = self._roomy_since = None
        if busy <= 0 or wanted_fps <= 0:
            return None
        ladder = LITE_EFFORTS if has_lite else EFFORTS
        effort = self.effort_for(generator)
        # A lite variant that came or went meanwhile leaves an effort that is on neither.
        level = ladder.index(effort) if effort in ladder else 0
        load = busy * wanted_fps
        if load > _TOO_BUSY:
            self._roomy_since = None
            self._slow_since = now if self._slow_since is None else self._slow_since
            if now - self._slow_since >= _SLOW_SECONDS:
                return self._go(generator, _fitting(ladder, level, load))
            return None
        self._slow_since = None
        if level and load * _grown(ladder[level], ladder[level - 1]) < _ROOMY:
            self._roomy_since = now if self._roomy_since is None else self._roomy_since
            if now - self._roomy_since >= self._patience.get(generator, _ROOMY_SECONDS):
                patience = self._patience.get(generator, _ROOMY_SECONDS)
                self._patience[generator] = min(_MOST_PATIENCE, 2 * patience)
                return self._go(generator, ladder[level - 1])
        else:
            self._roomy_since = None
        return None

    def _go(self, generator: str, effort: Effort) -> Effort | None:
        self._slow_since = self._roomy_since = None
        if effort == self.effort_for(generator):
            return None
        self._efforts[generator] = effort
        return effort


def _work(effort: Effort) -> float:
    """Work as a share of the full generator's at full size: it grows with the area."""
    return effort.scale**2 * (_LITE_WORK if effort.lite else 1.0)


def _grown(effort: Effort, other: Effort) -> float:
    """Work of ``other`` for one unit of work of ``effort``."""
    return _work(other) / _work(effort)


def _fitting(ladder: tuple[Effort, ...], level: int, load: float) -> Effort:
    """Return the first effort below ``level`` that fits, or the last there is."""
    for other in ladder[level + 1 :]:
        if load * _grown(ladder[level], other) <= _FITS:
            return other
    return ladder[-1]
