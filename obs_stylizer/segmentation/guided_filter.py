"""A coarse mask brought to the edges of the frame that it belongs to (He et al. 2010)."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

Floats = NDArray[np.float32]

SMOOTHING: Final = 1e-3
"""Variance of the guide, of a range of 0 to 1, under which it counts as flat."""


def guided_coefficients(
    guide: Pixels, mask: Floats, radius: int, smoothing: float = SMOOTHING
) -> Floats:
    """Return the linear maps from colours to mask that fit ``mask`` best around every pixel.

    Args:
        guide: uint8 (H, W, 3).
        mask: float32 (H, W), 0 to 1.
        radius: half the side of the squares that the maps are fitted in, in pixels.
        smoothing: see :data:`SMOOTHING`.

    Returns:
        float32 (4, H, W): the mask at a pixel is the sum of the first three times its colours, 0
        to 1, and of the fourth.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, -1, size, borderType=cv2.BORDER_REFLECT))

    # Planes, one after another: everything below is done on whole ones.
    red, green, blue = planes = [
        np.asarray(cv2.multiply(plane, 1 / 255, dtype=cv2.CV_32F)) for plane in cv2.split(guide)
    ]
    means = r, g, b = [mean(plane) for plane in planes]
    level = mean(mask)
    x, y, z = (
        mean(plane * mask) - centre * level for plane, centre in zip(planes, means, strict=True)
    )
    flat = np.float32(smoothing)
    rr, gg, bb = (
        mean(plane * plane) - centre * centre + flat
        for plane, centre in zip(planes, means, strict=True)
    )
    rg, rb, gb = mean(red * green) - r * g, mean(red * blue) - r * b, mean(green * blue) - g * b
    # A symmetric system of three for every pixel, by Cramer's rule.
    first, second, third = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    fourth, fifth, sixth = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    inverse = 1 / (rr * first + rg * second + rb * third)
    slopes = [
        (first * x + second * y + third * z) * inverse,
        (second * x + fourth * y + fifth * z) * inverse,
        (third * x + fifth * y + sixth * z) * inverse,
    ]
    offset = level - slopes[0] * r - slopes[1] * g - slopes[2] * b
    return np.stack([mean(plane) for plane in (*slopes, offset)])


def guided_mask(guide: Pixels, mask: Floats, radius: int, smoothing: float = SMOOTHING) -> Floats:
    """Return ``mask`` with the edges of ``guide``, float32 (H, W), 0 to 1.

    Arguments as for :func:`guided_coefficients`.
    """
    maps = guided_coefficients(guide, mask, radius, smoothing)
    colours = np.moveaxis(guide, -1, 0).astype(np.float32) / np.float32(255)
    return np.asarray(np.clip((maps[:3] * colours).sum(0) + maps[3], 0, 1), np.float32)
