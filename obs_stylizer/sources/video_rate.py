"""Frames a second of a video: what its file states, and what its time stamps say.

Browsers record with times in thousandths of a second and state that as their rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

FASTEST_CAMERA: Final = 240
"""Frames a second that no ordinary camera exceeds; a file that states more is measured."""

_NEAR: Final = 0.1
_ROUNDED: Final = 0.0004
_MAX_DENOMINATOR: Final = 1001


def stated_rate(stream: VideoStream) -> Fraction | None:
    """Return the rate that a file states, on average; None where it states none."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate else None


def measured_rate(
    stamps: Sequence[int] | NDArray[np.int64], time_base: Fraction
) -> Fraction | None:
    """Return the average rate of time stamps, in ticks of ``time_base`` and in any order.

    Returns:
        None for fewer than two moments.
    """
    if len(stamps) < 2:
        return None
    span = int(max(stamps)) - int(min(stamps))
    if span <= 0:
        return None
    rate = Fraction(len(stamps) - 1) / (span * time_base)
    # Times are rounded in files: the usual rates are meant where one is as near as that.
    whole = round(rate)
    usual = min((Fraction(whole), Fraction(whole * 1000, 1001)), key=lambda one: abs(one - rate))
    near = usual > 0 and abs(usual - rate) < rate * _ROUNDED
    return usual if near else rate.limit_denominator(_MAX_DENOMINATOR)


def believed_rate(stated: Fraction | None, measured: Fraction | None) -> Fraction | None:
    """Return the stated rate, unless the time stamps contradict it."""
    if stated is None or measured is None:
        return measured or stated
    return stated if abs(stated - measured) <= _NEAR * measured else measured
