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
class QualityLevel:
    """How much work a generator is given for a frame.

    Attributes:
        scale: sides of the process size, as shares of the preset's own.
        lite: take the generator's lite variant.
    """

    scale: float = 1.0
    lite: bool = False

    def __str__(self) -> str:
        return f"{'the lite generator at ' if self.lite else ''}{100 * self.scale:.0f} %"


FULL: Final = QualityLevel()
"""What a preset asks for."""

_SCALES: Final = (1.0, 0.8, 0.65, 0.5)
QUALITY_LEVELS: Final = tuple(QualityLevel(scale) for scale in _SCALES)
"""From the most work to the least, for a generator that has no lite variant."""

LITE_QUALITY_LEVELS: Final = (FULL, *(QualityLevel(scale, lite=True) for scale in _SCALES))
"""The same for one that has: the lite one at full size is sharper than the full one at half."""

_LITE_WORK: Final = 0.5
"""Work of a lite generator as a share of the full one's at the same size, as measured with
``paintings``: 32 maps and four blocks for 48 and five."""

LEAST_KEY_PICTURES: Final = 8.0
"""Pictures a second that a generator must make where they are carried along the motion to the
frames between; only below this is it given less work."""

_TOO_BUSY: Final = 1.0
_FITS: Final = 0.85
_HEADROOM: Final = 0.7
_SLOW_SECONDS: Final = 2.0
_HEADROOM_SECONDS: Final = 10.0
_LONGEST_BACKOFF: Final = 300.0


class Governor:
    """Chooses one of :data:`QUALITY_LEVELS` or :data:`LITE_QUALITY_LEVELS` for each generator.

    Going up again is tried with growing back-off: a machine that was too slow for a size once is
    likely to be so the next time.
    """

    def __init__(self) -> None:
        self._qualities: dict[str, QualityLevel] = {}
        self._backoff: dict[str, float] = {}
        self._unshrinkable: set[str] = set()
        self._generator = ""
        self._slow_since: float | None = None
        self._headroom_since: float | None = None

    def quality_for(self, generator: str) -> QualityLevel:
        """Return the quality with which that generator is to start, as last found out."""
        return self._qualities.get(generator, FULL)

    def keep(self, generator: str, quality: QualityLevel) -> None:
        """Take in that less than ``quality`` is not to be had: the generator works at one size."""
        self._qualities[generator] = quality
        self._unshrinkable.add(generator)

    def observe(
        self, now: float, generator: str, busy: float, wanted_fps: float, has_lite: bool = False
    ) -> QualityLevel | None:
        """Learn that a frame takes ``busy`` seconds of the worker's time.

        Args:
            now: seconds on any clock.
            generator: what runs, by any name.
            busy: seconds of work in a frame, waiting left out.
            wanted_fps: frames a second that are to be styled.
            has_lite: whether the generator has a lite variant.

        Returns:
            The quality to go over to, or None to stay.
        """
        if generator != self._generator:
            self._generator = generator
            self._slow_since = self._headroom_since = None
        if busy <= 0 or wanted_fps <= 0 or generator in self._unshrinkable:
            return None
        ladder = LITE_QUALITY_LEVELS if has_lite else QUALITY_LEVELS
        quality = self.quality_for(generator)
        # A lite variant that came or went meanwhile leaves a quality that is on neither.
        level = ladder.index(quality) if quality in ladder else 0
        load = busy * wanted_fps
        if load > _TOO_BUSY:
            self._headroom_since = None
            self._slow_since = now if self._slow_since is None else self._slow_since
            if now - self._slow_since >= _SLOW_SECONDS:
                return self._go(generator, _fitting(ladder, level, load))
            return None
        self._slow_since = None
        if level and load * _grown(ladder[level], ladder[level - 1]) < _HEADROOM:
            self._headroom_since = now if self._headroom_since is None else self._headroom_since
            if now - self._headroom_since >= self._backoff.get(generator, _HEADROOM_SECONDS):
                backoff = self._backoff.get(generator, _HEADROOM_SECONDS)
                self._backoff[generator] = min(_LONGEST_BACKOFF, 2 * backoff)
                return self._go(generator, ladder[level - 1])
        else:
            self._headroom_since = None
        return None

    def _go(self, generator: str, quality: QualityLevel) -> QualityLevel | None:
        self._slow_since = self._headroom_since = None
        if quality == self.quality_for(generator):
            return None
        self._qualities[generator] = quality
        return quality


def _work(quality: QualityLevel) -> float:
    """Work as a share of the full generator's at full size: it grows with the area."""
    return quality.scale**2 * (_LITE_WORK if quality.lite else 1.0)


def _grown(quality: QualityLevel, other: QualityLevel) -> float:
    """Work of ``other`` for one unit of work of ``quality``."""
    return _work(other) / _work(quality)


def _fitting(ladder: tuple[QualityLevel, ...], level: int, load: float) -> QualityLevel:
    """Return the first quality below ``level`` that fits, or the last there is."""
    for other in ladder[level + 1 :]:
        if load * _grown(ladder[level], other) <= _FITS:
            return other
    return ladder[-1]
