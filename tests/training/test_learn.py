"""Your own style by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from obs_stylizer.cli.app import app
from obs_stylizer.cli.training import feature_file
from obs_stylizer.errors import StylizerError
from obs_stylizer.presets import load_preset

from .conftest import DEEPER, LAYERS, make_content, scene, write_features, write_picture

pytestmark = pytest.mark.training


def learn(*words: str | Path) -> str:
    result = CliRunner().invoke(app, ["learn", *map(str, words)])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of their own, with photographs and features in them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_content(tmp_path)
    write_features(feature_file(), {**LAYERS, **DEEPER})
    write_picture(tmp_path / "My Drawing.png", scene(3))
    return tmp_path


@pytest.mark.timeout(240)
def test_a_picture_becomes_a_preset_on_air(own: Path) -> None:
    words = ("My Drawing.png", "--photos", "content", "--minutes", "0.05", "--threads", "2")
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
    feature_file().unlink()
    with pytest.raises(StylizerError, match="fetch-features"):
        learn("My Drawing.png", "--photos", "content")
    assert not list(own.glob("*-training"))
