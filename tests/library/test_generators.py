"""The generators that come with the program, on pictures that nobody hopes for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import Generator, open_generator
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.motion.measures import on_air

FOLDER = Path(__file__).parents[2] / "onnx"
SIZE = FrameSize(320, 176)
CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)


def _turns_frames(path: Path) -> bool:
    graph = onnx.load(path, load_external_data=False).graph
    ends = {item.name for item in (*graph.input, *graph.output)}
    return {"frame", "stylized"} <= ends


MODELS = sorted(
    path
    for path in FOLDER.glob("*.onnx")
    if not path.stem.endswith(".int8") and _turns_frames(path)
)
PAINTINGS = [
    pytest.param(path, style, id=f"{path.stem}-{style}" if style else path.stem)
    for path in MODELS
    for style in (load_native_model(path).spec.styles or ("",))
]


@cache
def opened(path: Path, size: FrameSize = SIZE) -> Generator:
    return open_generator(path, size, CPU)


@pytest.fixture(scope="module", autouse=True)
def close_all() -> Iterator[None]:
    yield
    opened.cache_clear()


def stylize(path: Path, style: str, picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    generator = opened(path, FrameSize(width, height))
    return np.array(generator.run(picture, {style: 1.0} if style else None))


def scene(size: FrameSize = SIZE) -> Pixels:
    """A person-like figure before a window, without any photograph."""
    height, width = size.height, size.width
    ramp = np.linspace(60, 200, width, dtype=np.float32)[None, :, None]
    picture = np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8).copy()
    unit = min(height, width)
    cv2.rectangle(picture, (0, 0), (width // 3, height // 2), (180, 210, 240), cv2.FILLED)
    centre = (width // 2, height // 2)
    cv2.ellipse(picture, centre, (unit // 6, unit // 4), 0, 0, 360, (214, 170, 140), cv2.FILLED)
    for side in (-1, 1):
        eye = (centre[0] + side * unit // 14, centre[1] - unit // 20)
        cv2.circle(picture, eye, max(2, unit // 45), (40, 30, 30), cv2.FILLED)
    shoulders = (centre[0], centre[1] + unit // 2)
    cv2.ellipse(picture, shoulders, (unit // 3, unit // 4), 0, 0, 360, (60, 70, 120), cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)


def noisy(picture: Pixels, sigma: float, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def text_screen() -> Pixels:
    picture = np.full(SIZE.shape, 245, np.uint8)
    for line in range(12, SIZE.height, 14):
        cv2.putText(picture, "the quick brown fox jumps over it", (6, line), 1, 0.8, (20, 20, 20))
    return picture


BAD: dict[str, Pixels] = {
    "night": (scene() // 12),
    "backlight": np.where(scene() > 150, 255, scene() // 4).astype(np.uint8),
    "text": text_screen(),
    "noise": noisy(np.full(SIZE.shape, 128, np.uint8), 80, 1),
    "black": np.zeros(SIZE.shape, np.uint8),
    "white": np.full(SIZE.shape, 255, np.uint8),
    "green": np.broadcast_to(np.array([0, 255, 0], np.uint8), SIZE.shape).copy(),
}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_generator_has_recipe_card_and_a_small_file(path: Path) -> None:
    assert path.with_suffix(".yaml").is_file()
    assert path.stat().st_size <= 4_000_000
    card = (FOLDER / "README.md").read_text("utf-8")
    assert re.search(rf"^## {re.escape(path.stem)}$", card, re.MULTILINE)
    spec = load_native_model(path).spec
    assert spec.licence == "MIT"
    assert spec.training_data
    for style in spec.styles:
        assert style in card


@pytest.mark.parametrize("kind", sorted(BAD))
@pytest.mark.parametrize(("path", "style"), PAINTINGS)
def test_bad_picture_burns_nothing_out(path: Path, style: str, kind: str) -> None:
    picture = BAD[kind]
    made = stylize(path, style, picture)
    assert made.shape == picture.shape
    if picture.std(axis=(0, 1)).max() == 0:
        if "halftone:" in path.with_suffix(".yaml").read_text("utf-8"):
            # Dots of a screen are what it is for; they are those of its inks.
            assert 1 <= len(np.unique(made[64:112, 96:224].reshape(-1, 3), axis=0)) <= 2
            return
        # A flat picture shows the faults: dots on a grid have a place in every 8 x 8 cell.
        strokes = cv2.blur(made, (9, 9)).astype(np.float64)
        # The edges of the frame are all that a painter has to go by, so only the middle is flat.
        inner = (made - strokes)[64:112, 96:224]
        cells = inner.reshape(inner.shape[0] // 8, 8, inner.shape[1] // 8, 8, 3)
        # Less than two hundredths of the range nobody sees.
        assert np.ptp(cells.mean(axis=(0, 2)), axis=(0, 1)).max() < 5
    else:
        light = picture.mean(axis=2)
        for burnt, was in (
            (made.min(axis=2) >= 252, light > 200),
            (made.max(axis=2) <= 3, light < 60),
        ):
            assert (burnt & ~was).mean() < 0.25


@pytest.mark.parametrize(("path", "style"), PAINTINGS)
def test_camera_noise_is_not_made_worse_on_air(path: Path, style: str) -> None:
    frames = [noisy(scene(), 5, seed) for seed in range(6 if style else 2)]
    source = np.abs(frames[-2].astype(int) - frames[-1]).mean()
    made = [stylize(path, style, frame) for frame in frames]
    # Bold strokes may flicker: a painting's calm is the business of coherence.
    shown = on_air(frames, made) if style else made
    # The bar for a still picture is the source's own change and 0.015 of the range.
    change = np.abs(shown[-2].astype(int) - shown[-1]).mean()
    assert change < source + 0.015 * 255


@pytest.mark.parametrize(("width", "height"), [(160, 120), (176, 320)])
@pytest.mark.parametrize(("path", "style"), PAINTINGS)
def test_small_and_upright_frames_keep_their_shapes(
    path: Path, style: str, width: int, height: int
) -> None:
    size = FrameSize(width, height).rounded_to(load_native_model(path).spec.size_multiple)
    picture = scene(size)
    made = stylize(path, style, picture)
    # What is light stays apart from what is dark, or outlines stay outlines.
    grey, styled = (np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), float) for p in (picture, made))
    outlines = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    assert styled.std() > 5
    alike = [abs(np.corrcoef(kept.ravel(), styled.ravel())[0, 1]) for kept in (grey, outlines)]
    assert max(alike) > 0.1
