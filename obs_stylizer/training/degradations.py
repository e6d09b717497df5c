"""What a cheap webcam or a hundred years do to a picture, to learn to undo it."""

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
    if max(recipe.scratches[1], recipe.dust[1], recipe.fading[1]) > 0:
        # From a stream of its own, so that the draws above stay what they were.
        result = age(result, random.spawn(1)[0], recipe)
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


def age(
    picture: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    random: np.random.Generator,
    recipe: EnhanceRecipe,
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return a picture as on an old film: faded, then scratched and covered with dust.

    Args:
        picture: float (H, W, 3), 0 to 255.
        random: source of the choices.
        recipe: how much of each.
    """
    height, width = picture.shape[:2]
    chosen = random.random(3) < recipe.share
    if chosen[0]:
        left = 1 - random.uniform(*recipe.fading)
        # Dyes fade unevenly: what is left is warm, or cold.
        tint = np.array([1.0, 0.85, 0.65], np.float32)[:: random.choice((1, -1))]
        grey = picture.mean(axis=2, keepdims=True)
        washed = grey + left * (picture - grey)
        picture = 127 + left * (washed - 127) + (1 - left) * 50 * (tint - 0.8)
    damage = np.zeros((height, width), np.float32)
    light = np.zeros((height, width), np.float32)
    if chosen[1]:
        for _ in range(random.poisson(random.uniform(*recipe.scratches) * width / 100)):
            at, lean = random.uniform(0, width), random.uniform(-0.03, 0.03)
            ends = random.uniform(-0.5, 1, 2) * height
            top, bottom = int(min(ends)), int(max(ends) + height / 2)
            opaque, bright = float(random.uniform(0.5, 1)), float(random.choice((20, 235)))
            line = ((round(at), top), (round(at + lean * (bottom - top)), bottom))
            wide = int(random.integers(1, 3))
            cv2.line(damage, *line, opaque, wide, cv2.LINE_AA)
            cv2.line(light, *line, bright, wide + 2)
    if chosen[2]:
        for _ in range(random.poisson(random.uniform(*recipe.dust) * height * width / 1e4)):
            middle = (int(random.integers(width)), int(random.integers(height)))
            axes = tuple(int(n) for n in 1 + random.exponential(1.2, 2))
            turn, bright = float(random.uniform(0, 180)), float(random.choice((15, 240)))
            cv2.ellipse(damage, middle, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
            cv2.ellipse(light, middle, (axes[0] + 1, axes[1] + 1), turn, 0, 360, bright, -1)
    share = damage[..., None]
    return np.asarray(picture * (1 - share) + light[..., None] * share, np.float32)


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
