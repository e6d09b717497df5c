"""Printed looks: flat inks with dots, and blocks in a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from obs_stylizer.cli.app import run_command_line
from obs_stylizer.errors import DocumentError, TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import spec_of
from obs_stylizer.styling.geometry import scale_into
from obs_stylizer.training.printing import (
    BlocksPrint,
    BlocksRecipe,
    HalftonePrint,
    HalftoneRecipe,
    export_print,
)

from .conftest import scene

pytestmark = pytest.mark.training

COLOURS = ("#000000", "#ffffff", "#ff0000", "#0000ff")


def recipe(folder: Path, **changed: object) -> Path:
    entries = {
        "name": "look",
        "title": "Look",
        "licence": "MIT",
        "objective": "print",
        "blocks": {"palette": list(COLOURS)},
        **changed,
    }
    path = folder / "look.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in entries.items() if v is not None}), "utf-8")
    return path


def run(model: Path, frame: Pixels) -> Pixels:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    made: Pixels = session.run(None, {"frame": frame[None]})[0][0]
    return made


def test_blocks_are_constant_and_of_the_palette(tmp_path: Path) -> None:
    model = tmp_path / "look.onnx"
    frame = scene(0, 96, 160)
    export_print(recipe(tmp_path), model, [frame])
    made = run(model, frame)
    blocks = made.reshape(24, 4, 40, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    found = {"#" + bytes(colour).hex() for colour in made.reshape(-1, 3)}
    assert len(found) > 1
    assert found <= set(COLOURS)


def test_a_plain_frame_of_a_palette_colour_keeps_it() -> None:
    look = BlocksPrint(BlocksRecipe(palette=COLOURS, contrast=1, chroma=1))
    frame = torch.zeros(1, 32, 48, 3, dtype=torch.uint8)
    frame[..., 0] = 255
    assert torch.equal(look(frame), frame)


def test_dots_grow_between_two_inks_and_stay_in_place() -> None:
    look = HalftonePrint(HalftoneRecipe(inks=("#000000", "#ffffff"), contrast=1))
    shares = []
    for level in (0, 40, 70, 100, 120):
        made = look(torch.full((1, 32, 48, 3), level, dtype=torch.uint8))
        tile = made[0, 8:16, 8:16]
        assert torch.equal(made[0, 16:24, 24:32], tile), "the screen repeats every eight pixels"
        shares.append(float((made[0, 8:24, 8:24] == 255).float().mean()))
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert 0.3 < shares[-1] < 0.55


def test_prints_over_another_generators_picture(tmp_path: Path) -> None:
    first = recipe(tmp_path, blocks={"palette": ["#ff0000", "#0000ff"], "side": 8})
    export_print(first, tmp_path / "below.onnx", [scene(0, 96, 160)])
    export_print(first, tmp_path / "below.int8.onnx", [scene(0, 96, 160)])
    over = recipe(
        tmp_path, over="below.onnx", blocks=None, halftone={"inks": ["#00ff00", "#0000ff"]}
    )
    export_print(over, tmp_path / "above.onnx", [scene(0, 96, 160)])
    made = run(tmp_path / "above.onnx", scene(0, 96, 160))
    assert {tuple(colour) for colour in made.reshape(-1, 3)} <= {(0, 255, 0), (0, 0, 255)}
    spec = spec_of(onnx.load(tmp_path / "above.onnx"), tmp_path)
    assert (spec.name, spec.size_multiple, spec.enlarging) == ("look", 16, "smooth")
    assert (tmp_path / "above.int8.onnx").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"halftone": {"inks": list(COLOURS)}}, "either halftone or blocks"),
        ({"blocks": None}, "either halftone or blocks"),
        ({"over": "absent.onnx"}, "there is no .*absent.onnx"),
        ({"blocks": {"palette": ["red", "blue"]}}, "palette"),
    ],
)
def test_a_recipe_that_prints_nothing_is_refused(
    changed: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises((TrainingError, DocumentError), match=words):
        export_print(recipe(tmp_path, **changed), tmp_path / "x.onnx", [scene(0, 96, 160)])
    assert not (tmp_path / "x.onnx").exists()


def test_the_command_exports_beside_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["export", str(recipe(tmp_path))]) == 0
    assert "written" in capsys.readouterr().out
    assert (tmp_path / "look.onnx").exists()


def test_hard_pixels_stay_hard_in_a_larger_picture() -> None:
    small = np.zeros((2, 2, 3), np.uint8)
    small[0, 0] = small[1, 1] = 255
    target = np.empty((8, 8, 3), np.uint8)
    scale_into(small, target, "nearest")
    assert set(np.unique(target)) == {0, 255}
    assert (target == np.kron(small, np.ones((4, 4, 1), np.uint8))).all()
