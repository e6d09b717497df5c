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
    scale = min(size.width / own.width, size.height / own.height)
    width = min(size.width, max(1, round(own.width * scale)))
    height = min(size.height, max(1, round(own.height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size.width - width) // 2, (size.height - height) // 2
    canvas: Pixels = np.zeros(size.shape, np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(
        pixels, (width, height), interpolation=how
    )
    return canvas
