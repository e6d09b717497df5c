"""Pictures from files, whatever they are, as 8-bit RGB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from obs_stylizer import pictures
from obs_stylizer.errors import SourceError, TrainingError
from obs_stylizer.frames import FrameSize, Pixels

_WHITE: Final = 255


def read_picture(path: Path) -> Pixels:
    """Return the picture at ``path`` as uint8 (height, width, 3), RGB.

    See :func:`obs_stylizer.pictures.read_picture`; but a transparent picture is laid on white
    here: what is learnt from is mostly drawn on paper, what is rendered is seen on a screen.

    Raises:
        TrainingError: there is no such file, or it is no whole picture.
    """
    try:
        return pictures.read_picture(path, ground=_WHITE).pixels
    except SourceError as cause:
        named = cause.message if str(path) in cause.message else f"{path}: {cause.message}"
        raise TrainingError(named, cause.remedy) from cause


def scale_to_short_side(picture: Pixels, short_side: int) -> Pixels:
    """Return ``picture``, of 3 or 6 channels, scaled to ``short_side`` pixels of shorter side."""
    height, width = picture.shape[:2]
    factor = short_side / min(height, width)
    size = (max(short_side, round(width * factor)), max(short_side, round(height * factor)))
    return resize(picture, size, cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def resize(picture: Pixels, size: tuple[int, int], how: int) -> Pixels:
    """Return ``picture``, of 3 or 6 channels, at (width, height), by an interpolation of OpenCV.

    A picture with its target has six channels; OpenCV takes no more than four at once.
    """
    thirds = [picture[..., first : first + 3] for first in range(0, picture.shape[2], 3)]
    scaled = [cv2.resize(third, size, interpolation=how) for third in thirds]
    return np.ascontiguousarray(np.dstack(scaled), dtype=np.uint8)


def fit_frame(picture: Pixels, size: FrameSize) -> Pixels:
    """Return the middle of ``picture``, scaled to fill ``size``, C-contiguous."""
    height, width = picture.shape[:2]
    factor = max(size.width / width, size.height / height)
    inner = (round(size.width / factor), round(size.height / factor))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    window = picture[top : top + inner[1], left : left + inner[0]]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(window, (size.width, size.height), interpolation=how)
    return np.ascontiguousarray(scaled, dtype=np.uint8)


def find_pictures(place: Path) -> list[Path]:
    """Return the picture files in the folder ``place``, sorted, or ``place`` if it is a file.

    What systems leave beside pictures is none: hidden files and folders, the twins that a Mac
    writes on other disks, lists of thumbnails.

    Raises:
        TrainingError: there is no such place, or no picture in it.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise TrainingError(f"there is no folder {place}", "check the recipe's data section")
    found = files_in(place, pictures.is_picture)
    if not found:
        raise TrainingError(f"there are no pictures in {place}", "put some there")
    return found


def files_in(place: Path, is_wanted: Callable[[Path], bool]) -> list[Path]:
    """Return the files below a folder that are wanted by their names, sorted, without leftovers."""
    return sorted(
        path
        for path in place.rglob("*")
        if is_wanted(path)
        and not any(part.startswith(".") for part in path.relative_to(place).parts)
        and not pictures.is_leftover(path)
        and path.is_file()
    )


def split_held_out(paths: list[Path], count: int) -> tuple[list[Path], list[Path]]:
    """Divide the pictures of one folder into those to train on and ``count`` held out.

    Held out are the pictures whose file names have the smallest SHA-256: the same ones on every
    machine, and still the same ones when pictures are added (save where a new one is smaller).

    Raises:
        TrainingError: nothing would be left to train on.
    """
    if count >= len(paths):
        raise TrainingError(
            f"holding out {count} of {len(paths)} pictures leaves none to train on",
            "lower data.hold_out",
        )
    ranked = sorted(paths, key=lambda path: hashlib.sha256(os.fsencode(path.name)).digest())
    held_out = set(ranked[:count])
    return [p for p in paths if p not in held_out], [p for p in paths if p in held_out]
