"""Our pictures beside another method's."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.comparison import compare, find_others, write_comparison
from obs_stylizer.training.evaluation import Mix, StyleMetric
from obs_stylizer.training.features import Vgg19
from obs_stylizer.training.recipe import load_recipe

from .conftest import RecipeWriter

pytestmark = pytest.mark.training


def picture(seed: int, size: tuple[int, int] = (48, 64)) -> Pixels:
    small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(small, (size[1], size[0])), np.uint8)


def write(path: Path, pixels: Pixels) -> None:
    assert cv2.imwrite(str(path), pixels[..., ::-1])


@pytest.mark.parametrize(
    ("word", "style"),
    [
        ("great-wave", "great-wave"),
        ("wave", "great-wave"),
        ("the_scream", "scream"),
        ("wreck", "shipwreck"),
        ("Udnie", "udnie"),
    ],
)
def test_styles_are_found_by_a_part_of_their_names(tmp_path: Path, word: str, style: str) -> None:
    write(tmp_path / "city.png", picture(1))
    write(tmp_path / f"city_{word}.png", picture(2))
    (other,) = find_others(tmp_path, ("great-wave", "udnie", "scream", "shipwreck"))
    assert (other.photo.name, other.style) == ("city.png", style)


def test_what_fits_no_style_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "city.png", picture(1))
    write(tmp_path / "city_wave.png", picture(2))
    write(tmp_path / "city_mosaic.png", picture(3))
    assert len(find_others(tmp_path, ("great-wave",))) == 1
    assert "city_mosaic.png" in caplog.text
    with pytest.raises(TrainingError, match="PHOTO_STYLE"):
        find_others(tmp_path, ("scream",))


def test_figures_say_whose_picture_is_nearer_to_the_painting(
    tmp_path: Path, recipe_of: RecipeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_of())
    assert recipe.painting is not None
    monkeypatch.setattr("obs_stylizer.training.evaluation.CONTENT_LAYER", "conv2_1")
    metric = StyleMetric(Vgg19.load(Path(recipe.painting.features)), ("conv1_1", "conv2_1"))
    painting, photo = picture(3), picture(4, (50, 68))
    write(tmp_path / "city.png", photo)
    write(tmp_path / "city_wave.png", picture(5, (25, 34)))
    others = find_others(tmp_path, ("wave",))

    def paint(frame: Pixels, mix: Mix | None) -> Pixels:
        assert mix is not None
        assert mix.tolist() == [1.0]
        return np.asarray(cv2.resize(painting, (frame.shape[1], frame.shape[0])), np.uint8)

    with torch.no_grad():
        (entry,) = compare(paint, 8, {"wave": painting}, others, {"style_ratio": metric})
    assert entry.ours.shape == entry.theirs.shape == entry.photo.shape == (48, 64, 3)
    ours, theirs = entry.figures["style_ratio"]
    assert ours < theirs
    page = write_comparison(tmp_path / "out", "Ours & theirs", [entry], {"wave": painting})
    assert "Ours &amp; theirs" in page.read_text("utf-8")
    (row,) = json.loads((tmp_path / "out" / "beside.json").read_text("utf-8"))
    assert row["style_ratio"] == {"ours": round(ours, 4), "theirs": round(theirs, 4)}
