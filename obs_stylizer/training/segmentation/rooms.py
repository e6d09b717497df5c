"""Drawn rooms: walls, shelves, windows, screens and chairs, for what photographs do not show.

They are no likeness of a room. They have what misleads a network that knows faces before nature:
straight edges, dark upright shapes as high as a person, lamps, and rows of small things.
"""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels


def draw_room(size: FrameSize, random: np.random.Generator) -> Pixels:
    """Return a room nobody is in, uint8 (H, W, 3)."""
    width, height = size.width, size.height
    room = _shaded(size, _colour(random), random)
    if random.random() < 0.6:
        top = int(height * random.uniform(0.6, 0.95))
        room[top:] = _shaded(FrameSize(width, height - top), _colour(random), random)
    for _ in range(int(random.integers(1, 9))):
        _draw_thing(room, random)
    if random.random() < 0.4:
        draw_chair(room, random)
    sigma = random.uniform(0, 2.5)
    if sigma > 0.4:
        room = np.asarray(cv2.GaussianBlur(room, (0, 0), sigma), np.uint8)
    return room


def draw_chair(picture: Pixels, random: np.random.Generator, middle: float | None = None) -> None:
    """Draw the back of a chair into ``picture``, which is changed.

    Args:
        picture: uint8 (H, W, 3).
        random: source of the choices.
        middle: share of the width that it stands at; None draws one.
    """
    height, width = picture.shape[:2]
    centre = int(width * (random.uniform(0.1, 0.9) if middle is None else middle))
    half = int(height * random.uniform(0.14, 0.4))
    top = int(height * random.uniform(0.1, 0.7))
    dark = random.random() < 0.7
    colour = _colour(random, 0, 70) if dark else _colour(random)
    layer = picture.copy()
    round_ = max(2, int(half * random.uniform(0.2, 0.9)))
    cv2.rectangle(layer, (centre - half, top + round_), (centre + half, height), colour, -1)
    cv2.rectangle(
        layer, (centre - half + round_, top), (centre + half - round_, height), colour, -1
    )
    for across in (centre - half + round_, centre + half - round_):
        cv2.circle(layer, (across, top + round_), round_, colour, -1, cv2.LINE_AA)
    if random.random() < 0.4:
        cv2.ellipse(
            layer, (centre, top), (half // 2, half // 3), 0, 0, 360, colour, -1, cv2.LINE_AA
        )
    if random.random() < 0.5:
        stripe = _colour(random)
        for across in (centre - half // 2, centre + half // 2):
            cv2.line(layer, (across, top), (across, height), stripe, max(1, half // 12))
    picture[:] = layer


def _draw_thing(picture: Pixels, random: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    kind = random.random()
    left, top = int(random.uniform(-0.1, 0.9) * width), int(random.uniform(-0.1, 0.8) * height)
    across = max(3, int(random.uniform(0.05, 0.45) * width))
    down = max(3, int(random.uniform(0.08, 0.7) * height))
    right, bottom = left + across, top + down
    colour = _colour(random)
    if kind < 0.35:
        cv2.rectangle(picture, (left, top), (right, bottom), colour, -1)
        frame = max(1, int(random.uniform(0, 0.06) * width))
        cv2.rectangle(picture, (left, top), (right, bottom), _colour(random), frame)
    elif kind < 0.55:
        # A shelf of upright things.
        place = left
        while place < right:
            step = max(2, int(random.uniform(0.01, 0.05) * width))
            upper = top + int(random.uniform(0, 0.4) * down)
            cv2.rectangle(picture, (place, upper), (place + step, bottom), _colour(random), -1)
            place += step + 1
        cv2.line(picture, (left, bottom), (right, bottom), _colour(random, 20, 120), 2)
    elif kind < 0.7:
        cv2.ellipse(
            picture,
            (left, top),
            (across // 3, down // 3),
            random.uniform(0, 180),
            0,
            360,
            colour,
            -1,
            cv2.LINE_AA,
        )
    elif kind < 0.85:
        # A curtain.
        for place in range(left, right, 4):
            shade = 0.7 + 0.3 * np.sin(place * random.uniform(0.2, 0.9))
            tone = [int(value * shade) for value in colour]
            cv2.line(picture, (place, top), (place, height), tone, 4)
    else:
        points = random.uniform(0, 1, (int(random.integers(3, 8)), 2)) * (across, down)
        outline = np.add(points, (left, top)).astype(np.int32)
        cv2.fillPoly(picture, [cv2.convexHull(outline)], colour, cv2.LINE_AA)


def _shaded(size: FrameSize, colour: tuple[int, int, int], random: np.random.Generator) -> Pixels:
    """Return an evenly coloured field, lit from somewhere."""
    corners = random.uniform(0.55, 1.2, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    lit: Pixels = np.clip(light[..., None] * np.array(colour, np.float32), 0, 255).astype(np.uint8)
    return lit


def _colour(random: np.random.Generator, low: int = 10, high: int = 245) -> tuple[int, int, int]:
    """Return a colour; most things in a room are nearly grey."""
    grey = random.uniform(low, high)
    tint = random.normal(0, 12 if random.random() < 0.7 else 50, 3)
    red, green, blue = np.clip(grey + tint, 0, 255)
    return int(red), int(green), int(blue)
