"""Line and ink: comic, ink, pencil and neon."""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.training.filters.planes import (
    Plane,
    between,
    blur,
    brightness_of,
    flatten,
    in_levels,
    outlines,
    to_bytes,
    unit,
)

_PAPER = np.array([0.98, 0.965, 0.93], np.float32)
_INK = np.array([0.07, 0.07, 0.10], np.float32)
_GRAPHITE = np.array([0.15, 0.15, 0.18], np.float32)
_NIGHT = np.array([0.03, 0.02, 0.07], np.float32)


def comic(picture: Pixels) -> Pixels:
    """Return flat, strong colours with dark outlines (Winnemöller et al. 2006).

    Repeated bilateral filters flatten what lies between edges, the lightness is drawn softly
    towards six levels, and a difference of Gaussians gives the outlines.
    """
    smooth = flatten(picture, times=5, colours=32, reach=5)
    lab = cv2.cvtColor(unit(smooth), cv2.COLOR_RGB2LAB)
    lab[..., 0] = in_levels(np.clip((lab[..., 0] - 50) * 1.15 + 54, 0, 100), levels=6)
    lab[..., 1:] *= 1.35
    flat = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    lines = outlines(brightness_of(smooth), sigma=1.15, keep=0.985, steepness=70)
    return to_bytes(flat * (0.06 + 0.94 * lines[..., None]))


def ink(picture: Pixels) -> Pixels:
    """Return black lines and areas on warm paper (XDoG, Winnemöller et al. 2012)."""
    grey = brightness_of(flatten(picture, times=4, colours=30, reach=5))
    grey = np.clip((grey - 0.5) * 1.1 + 0.55, 0, 1).astype(np.float32)
    sharpened = 16 * blur(grey, 1.2) - 15 * blur(grey, 1.92)
    light = np.where(sharpened > 0.42, 1.0, 1.0 + np.tanh(5 * (sharpened - 0.42)))
    return between(_INK, _PAPER, light)


def pencil(picture: Pixels) -> Pixels:
    """Return graphite lines with soft shading on warm paper (colour dodge and outlines)."""
    grey = brightness_of(flatten(picture, times=2, colours=20, reach=3))
    dodged = np.clip(grey / (0.04 + 0.98 * blur(grey, 4.0)), 0, 1)
    lines = outlines(grey, sigma=0.9, keep=0.985, steepness=60)
    shade = 0.45 + 0.55 * np.clip(1.6 * blur(grey, 1.2) + 0.12, 0, 1) ** 0.7
    return between(_GRAPHITE, _PAPER, dodged**1.6 * shade * (0.2 + 0.8 * lines))


def neon(picture: Pixels) -> Pixels:
    """Return glowing outlines on a dark ground: colours of what they outline, made bright.

    What has no colour glows from magenta, where it is dark, to cyan, where it is light.
    """
    smooth = unit(flatten(picture, times=3, colours=26, reach=4))
    steps = [
        cv2.Sobel(blur(smooth, 1.0), cv2.CV_32F, *axis, ksize=3) / 4 for axis in ((1, 0), (0, 1))
    ]
    slope = np.sqrt((steps[0] ** 2 + steps[1] ** 2).max(axis=2))
    edges = np.clip((slope - 0.02) / 0.16, 0, 1).astype(np.float32) ** 0.9
    glow = 1.1 * blur(edges, 3.5) + 0.7 * blur(edges, 8.0)
    core = np.clip(1.2 * edges, 0, 1)[..., None]
    ground = _NIGHT + 0.10 * blur(smooth, 1.5)
    light = ground + _neon_colours(smooth) * (0.9 * core + 0.55 * glow[..., None]) + 0.35 * core**2
    return to_bytes(1 - np.exp(-1.35 * light))


def _neon_colours(smooth: Plane) -> Plane:
    lab = cv2.cvtColor(blur(smooth, 3.0), cv2.COLOR_RGB2LAB)
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
