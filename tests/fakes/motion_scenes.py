"""Clips with known motion, and a generator that flickers as bold ones do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels
from obs_stylizer.motion.flow import Motion, MotionEstimator

WIDTH, HEIGHT = 256, 192


def texture(seed: int, width: int = WIDTH, height: int = HEIGHT, coarse: float = 2.5) -> Pixels:
    """Blotches of colour with edges to follow."""
    random = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(random.normal(0, 1, (height, width, 3)), (0, 0), coarse)
    return np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)


def panning(frames: int, step: float) -> list[Pixels]:
    """A textured ground that moves to the left by ``step`` pixels a frame."""
    ground = texture(1, WIDTH + round(step * frames) + 8)
    return [
        cv2.warpAffine(
            ground, np.float32([[1, 0, -step * number], [0, 1, 0]]), (WIDTH, HEIGHT),
            flags=cv2.INTER_CUBIC,
        )
        for number in range(frames)
    ]  # fmt: skip


def standing(frames: int, noise: float = 0.0) -> list[Pixels]:
    """The same picture with fresh camera noise on every frame."""
    random = np.random.default_rng(3)
    still = texture(2, coarse=6)
    return [
        np.clip(still + random.normal(0, noise, still.shape), 0, 255).astype(np.uint8)
        for _ in range(frames)
    ]


def disc_crossing(frames: int, step: int = 20) -> list[Pixels]:
    """A bright disc that crosses a textured ground that stands still."""
    ground = texture(4)
    return [
        cv2.circle(ground.copy(), (30 + step * number, HEIGHT // 2), 24, (250, 240, 40), -1)
        for number in range(frames)
    ]


def disc_mask(number: int, step: int = 20) -> NDArray[np.bool_]:
    """Where the disc of :func:`disc_crossing` was in a frame."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    return cv2.circle(mask, (30 + step * number, HEIGHT // 2), 24, 1, -1) > 0


def flickering(clip: Sequence[Pixels], amount: float = 14.0) -> list[Pixels]:
    """Strokes that follow the frame's shades, and as strong ones drawn anew on every frame."""
    random = np.random.default_rng(5)
    made = []
    for frame in clip:
        strokes = cv2.GaussianBlur(random.normal(0, 1, (*frame.shape[:2], 1)), (0, 0), 1.2)
        strokes = strokes[..., np.newaxis] * amount / strokes.std()
        lines = amount * np.sin(frame.astype(np.float64) / 4)
        made.append(np.clip(255.0 - frame + lines + strokes, 0, 255).astype(np.uint8))
    return made


def change(pictures: Sequence[Pixels]) -> float:
    """Mean difference between neighbours, in levels."""
    return float(np.mean([cv2.absdiff(*pair).mean() for pair in pairwise(pictures)]))


def warp_error(clip: Sequence[Pixels], made: Sequence[Pixels], step: float) -> float:
    """Mean change along the motion of :func:`panning`, borders left out, in levels."""
    errors = []
    for before, now in pairwise(made):
        back = np.float32([[1, 0, -step], [0, 1, 0]])
        moved = cv2.warpAffine(before, back, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
        inner = np.s_[8:-8, 16:-32]
        errors.append(cv2.absdiff(moved, now)[inner].mean())
    return float(np.mean(errors))


def sharpness(pictures: Sequence[Pixels]) -> float:
    """Mean variance of the Laplacian."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    return float(np.mean([cv2.Laplacian(picture, cv2.CV_32F).var() for picture in grey]))


def motions(clip: Sequence[Pixels]) -> list[Motion]:
    """The motion that led to each frame."""
    estimator = MotionEstimator()
    return [estimator.observe(frame) for frame in clip]
