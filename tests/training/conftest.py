"""A training in miniature: pictures, feature weights and a recipe that the tests make."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

RecipeWriter = Callable[..., Path]

LAYERS = {"conv1_1": (3, 6), "conv1_2": (6, 6), "conv2_1": (6, 8), "conv2_2": (8, 8)}
DEEPER = {"conv3_1": (8, 8), "conv3_2": (8, 8), "conv3_3": (8, 8), "conv3_4": (8, 8)}

RECIPE = """
name: tiny
seed: 3
precision: f32
objective: painting
painting:
  styles:
    stripes: {{picture: "{folder}/styles/stripes.png", size: 64}}
    rings: {{picture: "{folder}/styles/rings.png", size: 64}}
  features: "{folder}/features.npz"
  style_layers: {{conv1_1: 1, conv2_1: 1}}
  content_layers: {{conv2_2: 1}}
data: {{content: ["{folder}/content"], hold_out: 1, crop: 32, short_side: [32, 64]}}
generator: {{channels: 8, blocks: 1}}
discriminator: {{channels: [8, 8]}}
temporal: {{weight: 1, shift: 2}}
schedule: {{steps: 12, batch: 2, warm_up: 2, log_every: 2, sample_every: 6}}
"""


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Skip this folder, saying why, where torch is not installed."""
    if importlib.util.find_spec("torch") is not None:
        return None
    module: pytest.Module = _WithoutTorch.from_parent(parent, path=module_path)
    return module


class _WithoutTorch(pytest.Module):
    def collect(self) -> NoReturn:
        pytest.skip("training needs torch", allow_module_level=True)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Sums must not depend on how many cores the machine has free."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of samples, which every training draws when it ends, need not be seen."""
    from obs_stylizer.frames import FrameSize

    for name in ("painting", "translation", "unpaired"):
        module = f"obs_stylizer.training.objectives.{name}"
        monkeypatch.setattr(f"{module}.SAMPLE_SIZE", FrameSize(64, 64))


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is evaluated is as small as MS-SSIM allows; exports are compared at two small sizes."""
    from obs_stylizer.frames import FrameSize

    for name in ("evaluation", "run_evaluation"):
        monkeypatch.setattr(f"obs_stylizer.training.{name}.FRAME_SIZE", FrameSize(192, 176))
    sizes = (FrameSize(160, 96), FrameSize(72, 88))
    for name in ("export", "filter_export"):
        monkeypatch.setattr(f"obs_stylizer.training.{name}.PARITY_SIZES", sizes)


def write_picture(path: Path, picture: NDArray[np.generic]) -> Path:
    """Write an RGB picture of any kind that OpenCV can write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if picture.ndim == 3:
        order = [2, 1, 0] if picture.shape[2] == 3 else [2, 1, 0, 3]
        picture = picture[..., order]
    assert cv2.imwrite(str(path), picture)
    return path


def scene(number: int, height: int = 80, width: int = 96) -> NDArray[np.uint8]:
    """Return a smooth coloured picture with an edge in it."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack(
        [
            128 + 100 * np.sin((rows + 7 * number) / 17),
            128 + 100 * np.cos((columns - 5 * number) / 13),
            128 + 60 * np.sin((rows + columns) / 23 + number),
        ],
        axis=-1,
    )
    picture[height // 3 : height // 2, width // 4 : width // 2] = (230, 40 * (number % 5), 90)
    return picture.astype(np.uint8)


def make_content(folder: Path) -> Path:
    """Fill a folder with content and return it."""
    for number in range(5):
        write_picture(folder / "content" / f"{number}.png", scene(number))
    return folder


def make_data(folder: Path) -> Path:
    """Fill a folder with content, two styles and small random features, and return it."""
    make_content(folder)
    rows, columns = np.mgrid[0:70, 0:90].astype(np.float32)
    stripes = np.stack([(rows // 4 % 2) * 255, 255 - rows, columns], -1).astype(np.uint8)
    circles = np.hypot(rows - 35, columns - 45)
    rings = np.stack([circles, (circles // 5 % 2) * 220, 255 - circles], -1).astype(np.uint8)
    write_picture(folder / "styles" / "stripes.png", stripes)
    write_picture(folder / "styles" / "rings.png", rings)
    write_features(folder / "features.npz", LAYERS)
    return folder


def write_features(path: Path, layers: dict[str, tuple[int, int]]) -> Path:
    """Write random weights of convolutions with these numbers of inputs and outputs."""
    random = np.random.default_rng(0)
    arrays = {}
    for name, (inputs, outputs) in layers.items():
        spread = np.sqrt(2 / (9 * inputs))
        arrays[f"{name}.weight"] = random.normal(0, spread, (outputs, inputs, 3, 3))
        arrays[f"{name}.bias"] = np.zeros(outputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with content, two styles and small random features."""
    return make_data(tmp_path)


@pytest.fixture
def recipe_of(data: Path) -> RecipeWriter:
    """Return a function that writes the tiny recipe with some text replaced."""

    def write(*replacements: tuple[str, str], name: str = "recipe.yaml") -> Path:
        text = RECIPE.format(folder=data)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = data / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
