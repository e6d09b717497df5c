"""Your own style by one command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from obs_stylizer.cli.app import app
from obs_stylizer.cli.learn import _recipe as one_recipe
from obs_stylizer.errors import StylizerError
from obs_stylizer.presets import load_preset
from obs_stylizer.training.datasets import ContentPictures
from obs_stylizer.training.features import load_features
from obs_stylizer.training.recipe import load_recipe

from .conftest import DEEPER, LAYERS, make_content, scene, write_features, write_picture

pytestmark = pytest.mark.training


def learn(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["learn", *map(str, words)])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of their own, with photographs in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_content(tmp_path)
    write_features(tmp_path / "small.npz", {**LAYERS, **DEEPER, "conv4_1": (8, 8)})
    write_picture(tmp_path / "My Drawing.png", scene(3))
    return tmp_path


@pytest.mark.timeout(240)
def test_a_picture_becomes_a_preset_on_air(own: Path) -> None:
    words = ("My Drawing.png", "--photos", "content", "--features", "small.npz")
    words = (*words, "--minutes", "0.05", "--threads", "2")
    said = learn(*words)
    assert "style_ratio" in said
    assert "obs-stylizer run --preset my-drawing" in said
    presets = own / "config" / "obs-stylizer" / "presets"
    assert load_preset(presets / "my-drawing.yaml").model == "my-drawing"
    assert (presets.parent / "models" / "my-drawing.onnx").is_file()
    assert (own / "my-drawing-training" / "evaluation.html").is_file()
    shown = CliRunner().invoke(app, ["presets", "validate"])
    assert shown.exit_code == 0, shown.output
    with pytest.raises(StylizerError, match="there is a generator my-drawing already"):
        learn(*words)


def test_photographs_and_features_are_bundled(own: Path) -> None:
    text = one_recipe("mine", {"mine": own / "My Drawing.png"}, None, 5, None)
    (own / "mine.yaml").write_text(text, "utf-8")
    recipe = load_recipe(own / "mine.yaml")
    assert recipe.painting is not None
    assert list(recipe.painting.styles) == ["mine"]
    network = load_features(Path(recipe.painting.features))
    for scale in recipe.painting.style_scales:
        network.check_names(scale.layers)
    network.check_names(recipe.painting.content_layers)
    pictures = ContentPictures.of(recipe.data)
    assert len(pictures.training) == 32
    assert len(pictures.held_out) == 8


def test_what_is_wrong_is_said_before_anything_is_done(own: Path) -> None:
    write_picture(own / "scream.png", scene(1))
    write_picture(own / "my_drawing.png", scene(2))
    for words, message in (
        (("gone.png", "--photos", "content"), "there is no picture gone.png"),
        (("scream.png", "--photos", "content"), "there is a preset scream already"),
        (("My Drawing.png", "my_drawing.png", "--photos", "content"), "the same name"),
        (("scream.png", "--name", "paintings", "--photos", "content"), "a generator paintings"),
        (("My Drawing.png", "--photos", "nowhere"), "nowhere"),
    ):
        with pytest.raises(StylizerError, match=message):
            learn(*words)
    with pytest.raises(StylizerError, match=r"gone\.npz"):
        learn("My Drawing.png", "--photos", "content", "--features", "gone.npz")
    assert not list(own.glob("*-training"))


@pytest.mark.parametrize("kind", ["", "--quick", "--keyframe"])
def test_without_torch_the_way_to_get_it_is_told(
    own: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    picture = "My Drawing.png"
    words = ("--keyframe", f"{picture}={picture}") if kind == "--keyframe" else (picture, kind)
    with pytest.raises(StylizerError, match="needs torch") as caught:
        learn(*filter(None, words))
    assert "pip install 'obs-stylizer[training]'" in caught.value.remedy
