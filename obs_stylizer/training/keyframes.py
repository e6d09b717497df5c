"""Key frames: a frame as it was taken, and the same frame as somebody painted it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from obs_stylizer.errors import SourceError, TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.pictures import read_picture
from obs_stylizer.training.pictures import scale_to_short_side
from obs_stylizer.training.style_pictures import LEAST_SIDE, has_one_colour, refuse_huge

MOST: Final = 5
SHORT_SIDE: Final = 360
"""At which frames are learnt, and painted on air."""
_UNTOUCHED: Final = 1.0
"""Mean difference, in levels of 255, below which nothing was painted."""


@dataclass(frozen=True)
class Keyframe:
    """A painted frame.

    Attributes:
        frame: file of the frame.
        painted: file of the painting.
        pair: both, uint8 (H, W, 6), the frame first; the shorter side is :data:`SHORT_SIDE`.
    """

    frame: Path
    painted: Path
    pair: Pixels


def read_keyframe(frame: Path, painted: Path) -> Keyframe:
    """Read a frame and what was painted on it.

    Where the painting is transparent the frame shows through, so a layer alone will do.

    Raises:
        TrainingError: a file is missing or no picture, the two are not of one size, too small or
            too large, or show nothing to learn.
    """
    seen = _read(frame, 0)
    below = _read(painted, 0)
    if seen.shape != below.shape:
        sizes = [
            f"{path.name} is {p.shape[1]}x{p.shape[0]}"
            for path, p in ((frame, seen), (painted, below))
        ]
        raise TrainingError(
            f"{sizes[0]} pixels and {sizes[1]}: they do not lie on each other",
            "paint on the frame itself, and save it neither cut nor scaled",
        )
    height, width = seen.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise TrainingError(
            f"{frame.name} is {width}x{height} pixels, too small to have strokes",
            f"take one whose sides are {LEAST_SIDE} pixels or more",
        )
    made = _laid_on(seen, below, _read(painted, 255))
    for path, picture in ((frame, seen), (painted, made)):
        if has_one_colour(picture):
            raise TrainingError(f"{path.name} has a single colour and nothing to learn from")
    if float(np.abs(made.astype(np.int16) - seen).mean()) < _UNTOUCHED:
        raise TrainingError(
            f"{painted.name} is {frame.name} itself: nothing was painted",
            "paint over it, save it under another name, and give both: FRAME.png=PAINTED.png",
        )
    pair = scale_to_short_side(np.concatenate([seen, made], 2), SHORT_SIDE)
    return Keyframe(frame, painted, pair)


def _read(path: Path, ground: int) -> Pixels:
    refuse_huge(path)
    try:
        return read_picture(path, ground).pixels
    except SourceError as cause:
        named = cause.message if str(path) in cause.message else f"{path}: {cause.message}"
        raise TrainingError(named, cause.remedy) from cause


def _laid_on(frame: Pixels, on_black: Pixels, on_white: Pixels) -> Pixels:
    """Return a painting laid on the frame, of which it is known how it looks on two grounds."""
    through = on_white.astype(np.uint16) - on_black
    laid = on_black + (frame * through + 127) // 255
    return np.ascontiguousarray(np.minimum(laid, 255), np.uint8)
