"""Arithmetic on picture planes that the filters share."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

Plane = NDArray[np.float32]
"""A picture of floats, (H, W) or (H, W, 3)."""


def flatten(picture: Pixels, *, times: int, colours: float, reach: float) -> Pixels:
    """Return the picture with what lies between edges made flat (Tomasi and Manduchi 1998)."""
    for _ in range(times):
        picture = np.asarray(cv2.bilateralFilter(picture, 7, colours, reach), np.uint8)
    return picture


def in_levels(lightness: Plane, levels: int, steepness: float = 4.0) -> Plane:
    """Draw lightness (0 to 100) towards so many levels, the more sharply the steeper."""
    step = 100 / levels
    nearest = np.round(lightness / step) * step
    return np.asarray(
        nearest + step / 2 * np.tanh(steepness * (lightness - nearest) / step), np.float32
    )


def outlines(grey: Plane, *, sigma: float, keep: float, steepness: float) -> Plane:
    """Return 1 on plain ground and 0 on dark outlines (difference of Gaussians)."""
    difference = blur(grey, sigma) - keep * blur(grey, 1.6 * sigma)
    drawn = np.where(difference > 0, 1.0, 1.0 + np.tanh(steepness * difference))
    return np.asarray(drawn, np.float32)


def brightness_of(picture: Pixels) -> Plane:
    """Return the brightness of uint8 (H, W, 3): (H, W), 0 to 1."""
    return unit(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))


def unit(picture: NDArray[np.uint8]) -> Plane:
    """Return bytes as 0 to 1."""
    return np.asarray(picture / np.float32(255), np.float32)


def blur(picture: Plane, sigma: float) -> Plane:
    """Return a Gaussian blur of this standard deviation, in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def between(dark: Plane, light: Plane, share: NDArray[np.floating]) -> Pixels:
    """Return the mixture of two colours, uint8 (H, W, 3); 0 is the dark one."""
    return to_bytes(dark + (light - dark) * share[..., None])


def to_bytes(picture: NDArray[np.floating]) -> Pixels:
    """Return 0 to 1 as bytes."""
    return np.ascontiguousarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
