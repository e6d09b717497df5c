"""Other light, other clothes, a raised hand and headphones for people pasted into a place."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

Floats = NDArray[np.float32]

_LEAST_SKIN: Final = 100
"""Pixels of skin that a hand's colour is taken from."""


def recoloured(picture: Pixels, random: np.random.Generator, most: float) -> Pixels:
    """Return ``picture`` with its hues turned by up to ``most`` degrees, and paler or stronger."""
    turned = random.uniform(-most, most) / 2
    strength = random.uniform(0.3, 1.4)
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    levels = np.arange(256)
    hue = cv2.LUT(hue, ((levels + turned) % 180).astype(np.uint8))
    saturation = cv2.LUT(saturation, np.clip(levels * strength, 0, 255).astype(np.uint8))
    made = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)
    return np.asarray(made, np.uint8)


def redressed(picture: Pixels, random: np.random.Generator, neck: float, softness: float) -> Pixels:
    """Return people in clothes of another colour.

    Args:
        picture: uint8 (H, W, 3).
        random: source of the choices.
        neck: row under which there are clothes.
        softness: rows over which one goes into the other.
    """
    other = recoloured(picture, random, 180).astype(np.float32)
    other *= np.float32(random.uniform(0.4, 1.25))
    rows = np.arange(picture.shape[0], dtype=np.float32)
    share = np.clip((rows - neck) / max(softness, 1) + 0.5, 0, 1).astype(np.float32)[:, None, None]
    mixed: Pixels = np.clip(picture * (1 - share) + other * share, 0, 255).astype(np.uint8)
    return mixed


def relit(picture: Pixels, random: np.random.Generator) -> Pixels:
    """Return ``picture`` in light of another colour, stronger on one side."""
    height, width = picture.shape[:2]
    corners = random.uniform(0.75, 1.2, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    tint = np.exp(random.normal(0, 0.07, 3)).astype(np.float32)
    gamma = math.exp(random.uniform(-0.2, 0.2))
    levels = ((np.arange(256) / 255) ** gamma * 255).astype(np.float32)
    lit: Pixels = np.clip(levels[picture] * light[..., None] * tint, 0, 255).astype(np.uint8)
    return lit


def with_hand(frame: Pixels, alpha: Floats, random: np.random.Generator) -> tuple[Pixels, Floats]:
    """Raise a hand of the people's own skin, with a bare arm or a sleeve, before or beside them."""
    height, width = alpha.shape
    rows, columns = np.nonzero(_skin(frame) & (alpha > 0.9))
    if len(rows) < _LEAST_SKIN:
        return frame, alpha
    picked = int(random.integers(len(rows)))
    skin = frame[rows[picked], columns[picked]].astype(np.float32)
    unit = height * random.uniform(0.03, 0.08)
    palm = np.array([columns[picked], rows[picked]]) + random.normal(0, 2 * unit, 2)
    elbow = np.array([palm[0] + random.normal(0, 4 * unit), height + 4 * unit])
    arm, hand = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)

    def limb(drawn: Pixels, start: np.ndarray, end: np.ndarray, thickness: float) -> None:
        ends = [tuple(int(value) for value in np.round(point)) for point in (start, end)]
        cv2.line(drawn, ends[0], ends[1], 255, max(1, round(thickness)), cv2.LINE_AA)

    limb(arm, palm + 0.15 * (elbow - palm), elbow, random.uniform(1.6, 2.4) * unit)
    limb(hand, palm, palm + 0.3 * (elbow - palm), 1.5 * unit)
    limb(hand, palm, palm - [0, unit], 2.2 * unit)
    turned = random.normal(0, 0.4)
    for finger in range(5):
        angle = turned + (finger - 2) * random.uniform(0.12, 0.3)
        reach = np.array([math.sin(angle), -math.cos(angle)]) * unit * random.uniform(2, 3.2)
        limb(hand, np.add(palm, [(finger - 2) * 0.4 * unit, -unit]), palm + reach, 0.6 * unit)
    low = rows[picked] + int(0.25 * height)
    sleeves = np.argwhere(alpha[low:] > 0.9)
    sleeve = skin
    if len(sleeves) and random.random() < 0.6:
        place = sleeves[int(random.integers(len(sleeves)))]
        sleeve = frame[low + place[0], place[1]].astype(np.float32)
    shade = random.uniform(0.8, 1.15, (3, 4)).astype(np.float32)
    light = cv2.resize(shade, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    mixed = frame.astype(np.float32)
    for drawn, colour in ((hand, skin), (arm, sleeve)):
        soft = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.6), np.float32) / np.float32(255)
        share = soft[..., None]
        mixed = mixed * (1 - share) + np.clip(light * colour, 0, 255) * share
        alpha = np.maximum(alpha, soft)
    return np.asarray(mixed + 0.5, np.uint8), alpha


def _skin(frame: Pixels) -> NDArray[np.bool_]:
    """Return which pixels have a colour that skin may have (Kovac et al. 2003, less strict)."""
    red, green, blue = (plane.astype(np.int16) for plane in cv2.split(frame))
    found: NDArray[np.bool_] = (red > 50) & (red - blue > 15) & (red > green) & (green > 0.8 * blue)
    return found


def with_headphones(
    people: Pixels, alpha: Floats, random: np.random.Generator
) -> tuple[Pixels, Floats]:
    """Put headphones on what is most likely a head: the upper end of the alpha."""
    rows = np.flatnonzero((alpha > 0.6).sum(1) > 3)
    if len(rows) == 0:
        return people, alpha
    top = int(rows[0])
    height = alpha.shape[0]
    level = min(height - 1, top + max(4, int(0.14 * height)))
    columns = np.flatnonzero(alpha[level] > 0.6)
    if len(columns) < 6:
        return people, alpha
    left, right = int(columns[0]), int(columns[-1])
    half, middle = (right - left) // 2, (left + right) // 2
    if half > 0.3 * alpha.shape[1]:
        return people, alpha
    people, drawn = people.copy(), np.zeros(alpha.shape, np.uint8)
    grey = int(random.choice([20, 40, 90, 220]))
    colour = np.clip(grey + random.normal(0, 15, 3), 0, 255)
    thick = max(1, int(half * random.uniform(0.08, 0.25)))
    cv2.ellipse(
        drawn,
        (middle, level),
        (half + thick, level - top + thick),
        0,
        180,
        360,
        255,
        thick,
        cv2.LINE_AA,
    )
    cup = (max(2, int(half * 0.22)), max(3, int(half * random.uniform(0.35, 0.55))))
    for across in (middle - half - thick // 2, middle + half + thick // 2):
        cv2.ellipse(drawn, (across, level), cup, 0, 0, 360, 255, -1, cv2.LINE_AA)
    share = drawn.astype(np.float32) / 255
    painted = people * (1 - share[..., None]) + colour.astype(np.float32) * share[..., None]
    return np.asarray(painted, np.uint8), np.maximum(alpha, share)
