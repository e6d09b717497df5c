"""Transparency as a colour, for what knows no other, and the way back."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from obs_stylizer.frames import Pixels

CHROMA: Final = (0, 255, 0)
"""Stands, RGB, where there is nothing."""


def without_chroma(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Return what a picture shows by itself, where it lies over :data:`CHROMA`.

    Args:
        pixels: uint8 (H, W, 3): a share of ``alpha`` of the picture, the rest chroma.
        alpha: uint8 (H, W), 255 opaque.

    Returns:
        uint8 (H, W, 3), of straight alpha; black where nothing is opaque.
    """
    red, green, blue = cv2.split(pixels)
    own = cv2.subtract(green, cv2.bitwise_not(alpha))
    # OpenCV takes a division by nothing for nothing.
    planes = [cv2.divide(plane, alpha, scale=255) for plane in (red, own, blue)]
    return np.asarray(cv2.merge(planes), np.uint8)
