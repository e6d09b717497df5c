"""One more style of an exported generator, learnt from a picture without its training."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from obs_stylizer.cli import quick_learn
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.model_spec import write_spec
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.inference.style_packs import StylePack, read_pack, styles_folder, write_pack
from obs_stylizer.inference.style_rows import row_text
from obs_stylizer.presets import load_preset
from obs_stylizer.settings import config_folder
from obs_stylizer.training.export import describe, give_rows, to_onnx
from obs_stylizer.training.exported_weights import keep_weights
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.quick_learning import (
    FEATURES,
    PHOTOGRAPHS,
    QuickLearner,
    bundled_photographs,
    check_picture,
)
from obs_stylizer.training.recipe import load_recipe

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = SessionOptions(provider=Provider.CPU, threads=1)


def stripes(side: int = 96) -> Pixels:
    """Orange and blue stripes: a style that no photograph has."""
    wave = (np.arange(side) // 6 % 2)[:, None]
    colours = np.array([[255, 120, 0], [0, 40, 200]], np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colours[wave], (side, side, 3)))


@pytest.fixture(autouse=True)
def keep_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave these tests the right to the processor, which cannot be had back."""
    for name in ("take_low_priority", "take_lowest_priority"):
        monkeypatch.setattr(quick_learn, name, lambda: None)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "My Stripes.png"
    cv2.imwrite(str(path), cv2.cvtColor(stripes(), cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def generator(tmp_path: Path, recipe_of: RecipeWriter, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small generator of two styles among the user's own models, with its recipe."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    recipe = load_recipe(recipe_of())
    torch.manual_seed(3)
    trained = build_generator(recipe.generator, 2)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    native = NativeGenerator(trained)
    model = to_onnx(native)
    keep_weights(model, native)
    spec = describe(recipe, native.size_multiple, {})
    folder = config_folder() / "models"
    folder.mkdir(parents=True)
    path = folder / f"{spec.name}.onnx"
    write_spec(model, spec.model_copy(update={"weights_hash": give_rows(model)}))
    onnx.save(model, path)
    path.with_suffix(".yaml").write_bytes(recipe_of().read_bytes())
    return path


def test_a_row_learns_the_style_and_nothing_else_changes(generator: Path) -> None:
    photographs = bundled_photographs()[:4]
    learner = QuickLearner(generator, stripes(), photographs)
    assert learner.nearest in ("stripes", "rings")
    before = learner.row
    steps = 12
    for number in range(steps):
        progress = learner.step(number / steps)
        if number == 0:
            first = progress
    assert progress.step == steps
    # Nothing is known of a photograph in an untrained generator, so that comes first.
    gained = (first.style_ratio - progress.style_ratio) + (
        progress.content_kept - first.content_kept
    )
    assert gained > 0.03
    assert not np.allclose(learner.row, before, atol=1e-3)

    # What torch painted with the row is what the exported file paints with it.
    frame = np.ascontiguousarray(photographs[0][:160, :160])
    made = learner.paint(frame)
    pack = StylePack(
        name="learnt",
        title="Learnt",
        generator=learner.spec.name,
        weights_hash=learner.spec.weights_hash,
        row=row_text(learner.row),
    )
    write_pack(pack, styles_folder() / "learnt.style")
    with open_generator(generator, FrameSize(160, 160), CPU) as opened:
        painted = opened.run(frame, {"learnt": 1})
    difference = np.abs(painted.astype(int) - made)[4:-4, 4:-4]
    assert difference.mean() < 0.5
    assert difference.max() <= 4


def test_what_is_brought_along_is_small_and_its_licences_are_named() -> None:
    assert FEATURES.stat().st_size <= 6_000_000
    photographs = list(PHOTOGRAPHS.glob("*.jpg"))
    assert len(photographs) == 40
    assert sum(path.stat().st_size for path in photographs) <= 2_000_000
    named = (FEATURES.parent / "README.md").read_text("utf-8")
    assert "CC BY 4.0, Visual Geometry Group" in named
    for kind in {path.name.split("_")[0] for path in photographs}:
        assert f"photographs/{kind}_*.jpg" in named


@pytest.mark.parametrize(
    ("picture", "says"),
    [
        (np.zeros((8, 8, 3), np.uint8), "8x8 pixels, too small"),
        (np.full((200, 300, 3), 77, np.uint8), "a single colour"),
        (np.zeros((40, 4000, 3), np.uint8), "too small"),
    ],
)
def test_a_picture_without_a_style_is_refused(picture: Pixels, says: str) -> None:
    with pytest.raises(TrainingError, match=says):
        check_picture(picture)


def test_the_command_keeps_a_pack_and_a_preset(
    generator: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["learn", "--quick", str(picture), "--generator", generator.stem, "--seconds", "1"]
    monkeypatch.setattr("sys.stdin", io.StringIO("keep\n"))
    assert run_command_line([*command, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["state"] == "learning"
    assert lines[0]["thumbnail"].startswith("/9j/")
    assert lines[-1]["state"] == "learnt"
    pack = read_pack(styles_folder() / "my-stripes.style")
    assert pack.picture.startswith(b"\xff\xd8")
    preset = load_preset(config_folder() / "presets" / "my-stripes.yaml")
    assert (preset.model, preset.styles) == (generator.stem, {"my-stripes": 1})

    assert run_command_line(command) == 2
    assert "there is a style my-stripes already" in capsys.readouterr().err
    assert run_command_line([*command, "--generator", "absent"]) == 1
    assert "there is no model “absent”" in capsys.readouterr().err

    assert run_command_line(["styles", "list"]) == 0
    assert "my-stripes" in capsys.readouterr().out
    other = picture.with_name("other.style")
    arguments = ["styles", "pack", "my-stripes", "--author", "me", "--output", str(other)]
    assert run_command_line(arguments) == 0
    assert run_command_line(["styles", "remove", "my-stripes"]) == 0
    assert not (styles_folder() / "my-stripes.style").exists()
    assert not (config_folder() / "presets" / "my-stripes.yaml").exists()
    assert run_command_line(["styles", "install", str(other)]) == 0
    assert read_pack(styles_folder() / "my-stripes.style").author == "me"


def test_learning_that_is_given_up_leaves_nothing(
    generator: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The input stream ends where the daemon does.
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    command = ["learn", "--quick", str(picture), "--generator", generator.stem, "--json"]
    assert run_command_line(command) == 0
    assert '"learnt"' not in capsys.readouterr().out
    assert not styles_folder().exists()
