"""Reading the picture, or the film, whose style is to be learnt, and refusing what has none."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from PIL import Image

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.pictures import read_picture, scale_to_short_side

STYLE_SIZE: Final = 512
"""Short side, in pixels, at which a style is looked at."""
MOST_PIXELS: Final = 50_000_000
LEAST_SIDE: Final = 64
"""A picture with a shorter side has no strokes to learn."""
FILMS: Final = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")

_FLAT: Final = 2.0
_SMALLER: Final = "make it smaller: 1000 pixels a side are plenty"
_FRAMES: Final = 6
_MOST_DECODED: Final = 300


def read_style(path: Path) -> list[Pixels]:
    """Return the picture at ``path``, or some frames of it where it is a film.

    Raises:
        TrainingError: it is neither, or cannot be read.
    """
    if path.suffix.lower() not in FILMS:
        refuse_huge(path)
        return [_reduced(read_picture(path))]
    frames: list[Pixels] = []
    try:
        with av.open(str(path)) as film:
            stream = film.streams.video[0]
            for number in range(_FRAMES):
                moment = (film.duration or 0) * (2 * number + 1) // (2 * _FRAMES)
                film.seek(moment)
                frame = _frame_at(film.decode(stream), moment / av.time_base)
                if frame is not None:
                    frames.append(np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8))
    except (OSError, IndexError, av.error.FFmpegError) as cause:
        raise TrainingError(f"the film {path} cannot be read: {cause}") from cause
    # Films begin and end in black, which is no style.
    useful = [frame for frame in frames if not has_one_colour(frame)]
    if not useful:
        raise TrainingError(f"the film {path} shows nothing to learn from", "take another")
    return useful


def refuse_huge(path: Path) -> None:
    """Refuse a picture that would take gigabytes of memory to open, by what its file says.

    Raises:
        TrainingError: it has more than :data:`MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
    except Image.DecompressionBombError as cause:
        raise TrainingError(f"{path} has too many pixels: {cause}", _SMALLER) from cause
    except (OSError, ValueError):
        # Reading it tells what is wrong with it.
        return
    if width * height > MOST_PIXELS:
        raise TrainingError(
            f"{path} has {width * height / 1e6:.0f} megapixels, more than {MOST_PIXELS / 1e6:.0f}",
            _SMALLER,
        )


def _reduced(picture: Pixels) -> Pixels:
    """Return a picture at no more than what is learnt from."""
    large = min(picture.shape[:2]) > 2 * STYLE_SIZE
    return scale_to_short_side(picture, 2 * STYLE_SIZE) if large else picture


def _frame_at(frames: Iterator[av.VideoFrame], seconds: float) -> av.VideoFrame | None:
    """Return the first frame from ``seconds`` on, or the last before; films may seek coarsely."""
    found = None
    for found in itertools.islice(frames, _MOST_DECODED):
        if found.time is None or found.time >= seconds:
            break
    return found


def check_picture(picture: Pixels) -> None:
    """Refuse a picture that has no style to learn.

    Raises:
        TrainingError: it is too small, or has a single colour.
    """
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise TrainingError(
            f"the picture is {width}x{height} pixels, too small to have strokes",
            f"take one whose sides are {LEAST_SIDE} pixels or more",
        )
    if has_one_colour(picture):
        raise TrainingError("the picture has a single colour and no style to learn", "take another")


def has_one_colour(picture: Pixels) -> bool:
    """Whether a picture, uint8 (H, W, 3), is hardly more than one colour."""
    down, across = (max(1, side // 256) for side in picture.shape[:2])
    return float(picture[::down, ::across].std(axis=(0, 1)).max()) < _FLAT
