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
        float32 (H, W, 4): the mask at a pixel is the dot product of the first three with its
        colour, 0 to 1, and the fourth added.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.boxFilter(values, -1, size, borderType=cv2.BORDER_REFLECT))

    colours = guide.astype(np.float32) * np.float32(1 / 255)
    centre, level = mean(colours), mean(mask)
    shared = mean(colours * mask[..., None]) - centre * level[..., None]
    red, green, blue = (colours[..., channel] for channel in range(3))
    own = mean(colours * colours) - centre * centre + np.float32(smoothing)
    crossed = mean(np.dstack([red * green, red * blue, green * blue]))
    crossed -= np.dstack(
        [
            centre[..., 0] * centre[..., 1],
            centre[..., 0] * centre[..., 2],
            centre[..., 1] * centre[..., 2],
        ]
    )
    slopes = _solve(own, crossed, shared)
    offset = level - np.einsum("hwc,hwc->hw", slopes, centre)
    return mean(np.dstack([slopes, offset]))


def guided_mask(guide: Pixels, mask: Floats, radius: int, smoothing: float = SMOOTHING) -> Floats:
    """Return ``mask`` with the edges of ``guide``, float32 (H, W), 0 to 1.

    Arguments as for :func:`guided_coefficients`.
    """
    maps = guided_coefficients(guide, mask, radius, smoothing)
    found = np.einsum("hwc,hwc->hw", maps[..., :3], guide.astype(np.float32)) / np.float32(255)
    return np.asarray(np.clip(found + maps[..., 3], 0, 1), np.float32)


def _solve(own: Floats, crossed: Floats, wanted: Floats) -> Floats:
    """Solve a symmetric system of three for every pixel, by Cramer's rule.

    Args:
        own: (H, W, 3), the diagonal.
        crossed: (H, W, 3), the places (0, 1), (0, 2) and (1, 2).
        wanted: (H, W, 3), the right-hand side.
    """
    a, b, c = own[..., 0], own[..., 1], own[..., 2]
    d, e, f = crossed[..., 0], crossed[..., 1], crossed[..., 2]
    first, second, third = b * c - f * f, e * f - d * c, d * f - e * b
    determinant = a * first + d * second + e * third
    x, y, z = wanted[..., 0], wanted[..., 1], wanted[..., 2]
    solved = np.dstack(
        [
            first * x + second * y + third * z,
            second * x + (a * c - e * e) * y + (d * e - a * f) * z,
            third * x + (d * e - a * f) * y + (a * b - d * d) * z,
        ]
    )
    return np.asarray(solved / determinant[..., None], np.float32)
