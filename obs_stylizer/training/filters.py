"""Slow, careful filters of ours whose looks generators learn to make in real time.

Each takes uint8 (H, W, 3) RGB and returns the same shape. They are drawn for pictures of about
360 rows, at which generators work.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

_Plane = NDArray[np.float32]

_PAPER = np.array([0.98, 0.965, 0.93], np.float32)
_INK = np.array([0.07, 0.07, 0.10], np.float32)
_GRAPHITE = np.array([0.15, 0.15, 0.18], np.float32)
_NIGHT = np.array([0.03, 0.02, 0.07], np.float32)


def comic(picture: Pixels) -> Pixels:
    """Return flat, strong colours with dark outlines (Winnemöller et al. 2006).

    Repeated bilateral filters flatten what lies between edges, the lightness is drawn softly
    towards six levels, and a difference of Gaussians gives the outlines.
    """
    smooth = _flatten(picture, times=5, colours=32, reach=5)
    lab = cv2.cvtColor(_unit(smooth), cv2.COLOR_RGB2LAB)
    lab[..., 0] = _in_levels(np.clip((lab[..., 0] - 50) * 1.15 + 54, 0, 100), levels=6)
    lab[..., 1:] *= 1.35
    flat = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    lines = _outlines(_grey(smooth), sigma=1.15, keep=0.985, steepness=70)
    return _to_bytes(flat * (0.06 + 0.94 * lines[..., None]))


def ink(picture: Pixels) -> Pixels:
    """Return black lines and areas on warm paper (XDoG, Winnemöller et al. 2012)."""
    grey = _grey(_flatten(picture, times=4, colours=30, reach=5))
    grey = np.clip((grey - 0.5) * 1.1 + 0.55, 0, 1).astype(np.float32)
    sharpened = 16 * _blur(grey, 1.2) - 15 * _blur(grey, 1.92)
    light = np.where(sharpened > 0.42, 1.0, 1.0 + np.tanh(5 * (sharpened - 0.42)))
    return _between(_INK, _PAPER, light)


def pencil(picture: Pixels) -> Pixels:
    """Return graphite lines with soft shading on warm paper (colour dodge and outlines)."""
    grey = _grey(_flatten(picture, times=2, colours=20, reach=3))
    dodged = np.clip(grey / (0.04 + 0.98 * _blur(grey, 4.0)), 0, 1)
    lines = _outlines(grey, sigma=0.9, keep=0.985, steepness=60)
    shade = 0.45 + 0.55 * np.clip(1.6 * _blur(grey, 1.2) + 0.12, 0, 1) ** 0.7
    return _between(_GRAPHITE, _PAPER, dodged**1.6 * shade * (0.2 + 0.8 * lines))


def neon(picture: Pixels) -> Pixels:
    """Return glowing outlines on a dark ground: colours of what they outline, made bright.

    What has no colour glows from magenta, where it is dark, to cyan, where it is light.
    """
    smooth = _unit(_flatten(picture, times=3, colours=26, reach=4))
    steps = [
        cv2.Sobel(_blur(smooth, 1.0), cv2.CV_32F, *axis, ksize=3) / 4 for axis in ((1, 0), (0, 1))
    ]
    slope = np.sqrt((steps[0] ** 2 + steps[1] ** 2).max(axis=2))
    edges = np.clip((slope - 0.02) / 0.16, 0, 1).astype(np.float32) ** 0.9
    glow = 1.1 * _blur(edges, 3.5) + 0.7 * _blur(edges, 8.0)
    core = np.clip(1.2 * edges, 0, 1)[..., None]
    ground = _NIGHT + 0.10 * _blur(smooth, 1.5)
    light = ground + _neon_colours(smooth) * (0.9 * core + 0.55 * glow[..., None]) + 0.35 * core**2
    return _to_bytes(1 - np.exp(-1.35 * light))


def oil(picture: Pixels) -> Pixels:
    """Return strokes of one colour each with a little relief (Papari et al. 2007).

    A generalised Kuwahara filter: of eight windows around each place, the calmest give its
    colour. It is run twice, in broad and in fine strokes.
    """
    painted = _kuwahara(_kuwahara(_blur(_unit(picture), 0.6), 5), 3)
    hsv = cv2.cvtColor(np.clip(painted, 0, 1), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.clip(1.3 * hsv[..., 1], 0, 1)
    strong = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    height = _blur(cv2.cvtColor(strong, cv2.COLOR_RGB2GRAY), 0.7)
    relief = np.clip(height - np.roll(height, (1, 1), (0, 1)), -0.1, 0.1)
    return _to_bytes(strong + 0.9 * relief[..., None])


def _kuwahara(picture: _Plane, reach: int) -> _Plane:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    side, middle = reach, reach // 2
    anchors = [(x, y) for x in (0, middle, side) for y in (0, middle, side)]
    anchors.remove((middle, middle))
    total = np.zeros(picture.shape, np.float64)
    weights = np.zeros((*grey.shape, 1), np.float64)
    for anchor in anchors:
        mean, grey_mean, square_mean = (
            cv2.boxFilter(plane, -1, (reach + 1, reach + 1), anchor=anchor)
            for plane in (picture, grey, grey * grey)
        )
        unrest = np.maximum(square_mean - grey_mean**2, 0).astype(np.float64)
        weight = (1 / (1e-4 + unrest) ** 3)[..., None]
        total += mean * weight
        weights += weight
    return np.asarray(total / weights, np.float32)


def _neon_colours(smooth: _Plane) -> _Plane:
    lab = cv2.cvtColor(_blur(smooth, 3.0), cv2.COLOR_RGB2LAB)
    light = np.clip(lab[..., 0] / 100, 0, 1)
    angle = np.arctan2(lab[..., 2], lab[..., 1] + 1e-3)
    coloured = np.clip(np.hypot(lab[..., 1], lab[..., 2]) / 25, 0, 1)[..., None]
    neutral = np.stack([1 - 0.9 * light, 0.15 + 0.75 * light, np.ones_like(light)], axis=-1)
    bright = np.stack(
        [
            0.5 * np.cos(angle) + 0.65,
            0.5 * np.cos(angle - 2.6) + 0.5,
            0.5 * np.cos(angle + 1.9) + 0.6,
        ],
        axis=-1,
    )
    mixed = neutral * (1 - coloured) + np.clip(bright, 0, 1) * coloured
    return np.asarray(mixed / np.maximum(mixed.max(axis=2, keepdims=True), 0.2), np.float32)


def _flatten(picture: Pixels, *, times: int, colours: float, reach: float) -> Pixels:
    for _ in range(times):
        picture = np.asarray(cv2.bilateralFilter(picture, 7, colours, reach), np.uint8)
    return picture


def _in_levels(lightness: _Plane, levels: int) -> _Plane:
    """Draw lightness (0 to 100) softly towards so many levels."""
    step = 100 / levels
    nearest = np.round(lightness / step) * step
    return np.asarray(nearest + step / 2 * np.tanh(4 * (lightness - nearest) / step), np.float32)


def _outlines(grey: _Plane, *, sigma: float, keep: float, steepness: float) -> _Plane:
    """Return 1 on plain ground and 0 on dark outlines (difference of Gaussians)."""
    difference = _blur(grey, sigma) - keep * _blur(grey, 1.6 * sigma)
    drawn = np.where(difference > 0, 1.0, 1.0 + np.tanh(steepness * difference))
    return np.asarray(drawn, np.float32)


def _grey(picture: Pixels) -> _Plane:
    return _unit(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))


def _unit(picture: NDArray[np.uint8]) -> _Plane:
    return np.asarray(picture / np.float32(255), np.float32)


def _blur(picture: _Plane, sigma: float) -> _Plane:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def _between(dark: _Plane, light: _Plane, share: NDArray[np.floating]) -> Pixels:
    return _to_bytes(dark + (light - dark) * share[..., None])


def _to_bytes(picture: NDArray[np.floating]) -> Pixels:
    return np.ascontiguousarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
