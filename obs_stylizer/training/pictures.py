"""Pictures from files, whatever they are, as 8-bit RGB."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels

logger = logging.getLogger(__name__)

SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_picture(path: Path) -> Pixels:
    """Return the picture at ``path`` as uint8 (height, width, 3), RGB.

    Grey becomes RGB, 16-bit becomes 8-bit, CMYK is converted, a transparent picture is laid on
    white, and the orientation a camera noted is applied.

    Raises:
        TrainingError: there is no such file, or it is no whole picture.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as cause:
        raise TrainingError(f"{path} cannot be read: {cause.strerror or cause}") from cause
    if not data.size:
        raise TrainingError(f"{path} is empty")
    decoded: NDArray[Any] | None
    try:
        decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if decoded is not None and not (decoded.ndim == 3 and decoded.shape[2] == 4):
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error as cause:
        raise TrainingError(f"{path} is no picture that can be decoded") from cause
    if decoded is None or not decoded.size:
        raise TrainingError(f"{path} is no picture that can be decoded")
    if decoded.dtype == np.uint16:
        decoded = (decoded >> 8).astype(np.uint8)
    elif decoded.dtype != np.uint8:
        decoded = np.clip(decoded * 255.0, 0, 255).astype(np.uint8)
    if decoded.shape[2] == 4:
        opacity = decoded[..., 3:].astype(np.float32) / 255.0
        decoded = (decoded[..., :3] * opacity + 255.0 * (1.0 - opacity) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def scale_to_short_side(picture: Pixels, short_side: int) -> Pixels:
    """Return ``picture`` scaled so that its shorter side is ``short_side`` pixels."""
    height, width = picture.shape[:2]
    factor = short_side / min(height, width)
    size = (max(short_side, round(width * factor)), max(short_side, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


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

    Raises:
        TrainingError: there is no such place, or no picture in it.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise TrainingError(f"there is no folder {place}", "check the recipe's data section")
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise TrainingError(f"there are no pictures in {place}", "put some there")
    return found


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
    ranked = sorted(paths, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    held_out = set(ranked[:count])
    return [p for p in paths if p not in held_out], [p for p in paths if p in held_out]
