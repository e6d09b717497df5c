"""What a cheap webcam in a dark room does to a picture, to learn to undo it."""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.training.objective_recipes import EnhanceRecipe


def degrade(picture: Pixels, random: np.random.Generator, recipe: EnhanceRecipe) -> Pixels:
    """Return ``picture`` after a random choice of degradations, in the order a camera has them.

    Args:
        picture: uint8 (H, W, 3).
        random: source of the choices.
        recipe: ranges of their strengths, and how often each occurs.

    Returns:
        uint8 (H, W, 3).
    """
    chosen = random.random(5) < recipe.share
    strengths = [
        float(random.uniform(*bounds))
        for bounds in (recipe.downscale, recipe.blur, recipe.light, recipe.noise, recipe.jpeg)
    ]
    # Noise is drawn in any case: what one degradation does must not move the others' numbers.
    noise = random.standard_normal(picture.shape, dtype=np.float32)
    result = picture.astype(np.float32)
    if chosen[0]:
        result = downscale(result, strengths[0])
    if chosen[1] and strengths[1] > 0:
        result = cv2.GaussianBlur(result, (0, 0), strengths[1])
    if chosen[2]:
        result = result * strengths[2]
    if chosen[3]:
        result = result + noise * (255 * strengths[3])
    made: Pixels = np.clip(result + 0.5, 0, 255).astype(np.uint8)
    return compress(made, round(strengths[4])) if chosen[4] else made


def downscale(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]], factor: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return ``picture`` as it looks after it was ``factor`` times smaller."""
    height, width = picture.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR))


def compress(picture: Pixels, quality: int) -> Pixels:
    """Return ``picture`` as it looks after JPEG compression of this quality, 1 to 100."""
    encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
