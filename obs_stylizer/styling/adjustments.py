"""Brightness, contrast, saturation, gamma, sharpening, denoising: whole pictures, 8 bits."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels
from obs_stylizer.presets import Adjustments

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


class Adjuster:
    """Applies one :class:`Adjustments`; tables are made once, neutral parts cost nothing."""

    def __init__(self, adjustments: Adjustments) -> None:
        self._denoise = adjustments.denoise
        self._sharpen = adjustments.sharpen
        self._tone = _tone_table(adjustments)
        self._colour = _saturation_matrix(adjustments.saturation)
        self.neutral = adjustments.neutral

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return the adjusted picture: uint8 (height, width, 3), another array unless neutral."""
        if self._denoise > 0:
            # An edge-keeping filter on a small window; its reach in colour grows with strength.
            reach = 8 + 42 * self._denoise
            pixels = cv2.bilateralFilter(pixels, 5, reach, 2.0)
        if self._tone is not None:
            pixels = cv2.LUT(pixels, self._tone)
        if self._colour is not None:
            pixels = cv2.transform(pixels, self._colour)
        if self._sharpen > 0:
            soft = cv2.GaussianBlur(pixels, (0, 0), 1.2)
            amount = 1.5 * self._sharpen
            pixels = cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0)
        return pixels


def _tone_table(adjustments: Adjustments) -> NDArray[np.uint8] | None:
    """Brightness, contrast and gamma as one table of 256 values."""
    if (adjustments.brightness, adjustments.contrast, adjustments.gamma) == (0.0, 1.0, 1.0):
        return None
    level = np.linspace(0, 1, 256)
    level = (level - 0.5) * adjustments.contrast + 0.5 + adjustments.brightness
    level = np.clip(level, 0, 1) ** (1 / adjustments.gamma)
    return np.round(level * 255).astype(np.uint8)


def _saturation_matrix(saturation: float) -> NDArray[np.float32] | None:
    """The mix of each pixel with its own grey (Rec. 601 luma)."""
    if saturation == 1.0:
        return None
    grey = np.tile(_LUMA, (3, 1))
    return (grey + saturation * (np.eye(3, dtype=np.float32) - grey)).astype(np.float32)
