"""From the source's shape to the shape wanted: crop, fit with bars, or stretch; mirror."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels, size_of

Fit = Literal["crop", "fit", "stretch"]
Enlarging = Literal["smooth", "nearest"]


def reshape(pixels: Pixels, size: FrameSize, fit: Fit = "crop", *, mirror: bool = False) -> Pixels:
    """Return ``pixels`` at ``size``; the input itself where nothing has to be done.

    Args:
        pixels: uint8 (height, width, 3), of any size.
        size: wanted.
        fit: what to do where the shapes differ: ``crop`` the edges, ``fit`` all of it between
            black bars, or ``stretch``.
        mirror: flip left and right.

    Returns:
        uint8 (size.height, size.width, 3), C-contiguous.
    """
    if fit == "fit":
        result = _letterbox(pixels, size)
    else:
        result = _resize(_cropped(pixels, size) if fit == "crop" else pixels, size)
    return np.ascontiguousarray(cv2.flip(result, 1) if mirror else result)


def scale_into(pixels: Pixels, target: Pixels, enlarging: Enlarging = "smooth") -> None:
    """Scale ``pixels`` to fill ``target`` and write it there: uint8, RGB both.

    Args:
        pixels: (height, width, 3).
        target: of any size.
        enlarging: what becomes of pixels in a larger picture: ``nearest`` leaves them hard.
    """
    if pixels.shape == target.shape:
        np.copyto(target, pixels)
    elif enlarging == "nearest":
        size = size_of(target)
        cv2.resize(pixels, (size.width, size.height), target, interpolation=cv2.INTER_NEAREST)
    else:
        _resize(pixels, size_of(target), target)


def _cropped(pixels: Pixels, size: FrameSize) -> Pixels:
    """Return the largest centred view of ``pixels`` that has the shape of ``size``."""
    height, width = pixels.shape[:2]
    if width * size.height > height * size.width:
        kept = max(1, round(height * size.width / size.height))
        left = (width - kept) // 2
        return pixels[:, left : left + kept]
    kept = max(1, round(width * size.height / size.width))
    top = (height - kept) // 2
    return pixels[top : top + kept]


def _letterbox(pixels: Pixels, size: FrameSize) -> Pixels:
    height, width = pixels.shape[:2]
    ratio = min(size.width / width, size.height / height)
    inner = FrameSize(max(1, round(width * ratio)), max(1, round(height * ratio)))
    result: Pixels = np.zeros(size.shape, np.uint8)
    left, top = (size.width - inner.width) // 2, (size.height - inner.height) // 2
    result[top : top + inner.height, left : left + inner.width] = _resize(pixels, inner)
    return result


def _resize(pixels: Pixels, size: FrameSize, target: Pixels | None = None) -> Pixels:
    height, width = pixels.shape[:2]
    if (width, height) == (size.width, size.height) and target is None:
        return pixels
    # Area averaging keeps fine detail from shimmering when a picture gets smaller.
    smaller = size.width < width or size.height < height
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    result: Pixels = cv2.resize(pixels, (size.width, size.height), target, interpolation=how)
    return result
