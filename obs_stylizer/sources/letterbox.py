"""A picture shown whole in another shape, between black bars."""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels, size_of


def letterboxed(pixels: Pixels, size: FrameSize) -> Pixels:
    """Return a picture scaled to lie whole in the middle of ``size``; the same where it fits.

    Args:
        pixels: uint8 (height, width, 3).
        size: of the result.
    """
    own = size_of(pixels)
    if own == size:
        return pixels
    rows, columns = _inside(own, size)
    inner = (columns.stop - columns.start, rows.stop - rows.start)
    how = cv2.INTER_AREA if inner[0] < own.width else cv2.INTER_LINEAR
    canvas: Pixels = np.zeros(size.shape, np.uint8)
    canvas[rows, columns] = cv2.resize(pixels, inner, interpolation=how)
    return canvas


def blacken_bars(pixels: Pixels, own: FrameSize) -> None:
    """Make the bars around a picture of size ``own`` black again, whatever was made of them.

    Args:
        pixels: uint8 (height, width, 3), changed in place.
        own: size of the picture before it was letterboxed.
    """
    rows, columns = _inside(own, size_of(pixels))
    pixels[: rows.start], pixels[rows.stop :] = 0, 0
    pixels[:, : columns.start], pixels[:, columns.stop :] = 0, 0


def _inside(own: FrameSize, size: FrameSize) -> tuple[slice, slice]:
    """Return the rows and columns of ``size`` that a picture of size ``own`` takes."""
    scale = min(size.width / own.width, size.height / own.height)
    width = min(size.width, max(1, round(own.width * scale)))
    height = min(size.height, max(1, round(own.height * scale)))
    left, top = (size.width - width) // 2, (size.height - height) // 2
    return slice(top, top + height), slice(left, left + width)
