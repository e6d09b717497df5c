"""Filters as networks: inks with dots, blocks in a palette, oil and watercolour."""

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
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import spec_of, write_spec
from obs_stylizer.styling.geometry import scale_into
from obs_stylizer.training.export import export_run
from obs_stylizer.training.exported_weights import weights_of
from obs_stylizer.training.filter_export import export_filter, finish_model
from obs_stylizer.training.filter_networks import (
    BlocksPrint,
    HalftonePrint,
    OilPaint,
    Watercolour,
    even_patches,
)
from obs_stylizer.training.filter_recipes import (
    BlocksRecipe,
    FilterKind,
    HalftoneRecipe,
    OilRecipe,
    WatercolourRecipe,
)
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import make_content, scene

pytestmark = pytest.mark.training

PAIRED = """
name: tiny-ink
objective: paired
paired: {{teacher: ink, l1: 1, feature_matching: 0}}
data: {{content: ["{folder}/content"], hold_out: 1, crop: 32, short_side: [48, 80]}}
generator: {{kind: fast, channels: 8, blocks: 1, normalise: no, detail: yes, correction: yes}}
adversarial: {{weight: 0}}
temporal: {{weight: 0}}
schedule: {{steps: 3, batch: 2}}
"""
COLOURS = ("#000000", "#ffffff", "#ff0000", "#0000ff")


@pytest.fixture(autouse=True)
def _small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports are compared with torch at one small size."""
    for module in ("export", "filter_export"):
        name = f"obs_stylizer.training.{module}.PARITY_SIZES"
        monkeypatch.setattr(name, (FrameSize(96, 80),))


def recipe(folder: Path, **changed: object) -> Path:
    entries = {
        "name": "look",
        "title": "Look",
        "licence": "MIT",
        "objective": "filter",
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
    export_filter(recipe(tmp_path), model, [frame])
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


@pytest.mark.slow
def test_prints_over_another_generators_picture(tmp_path: Path) -> None:
    first = recipe(tmp_path, blocks={"palette": ["#ff0000", "#0000ff"], "side": 8})
    export_filter(first, tmp_path / "below.onnx", [scene(0, 96, 160)])
    export_filter(first, tmp_path / "below.int8.onnx", [scene(0, 96, 160)])
    over = recipe(
        tmp_path, over="below.onnx", blocks=None, halftone={"inks": ["#00ff00", "#0000ff"]}
    )
    export_filter(over, tmp_path / "above.onnx", [scene(0, 96, 160)])
    made = run(tmp_path / "above.onnx", scene(0, 96, 160))
    assert {tuple(colour) for colour in made.reshape(-1, 3)} <= {(0, 255, 0), (0, 0, 255)}
    spec = spec_of(onnx.load(tmp_path / "above.onnx"), tmp_path)
    assert (spec.name, spec.size_multiple, spec.enlarging) == ("look", 16, "smooth")
    assert (tmp_path / "above.int8.onnx").exists()


def test_patches_are_even_and_borders_stay() -> None:
    noise = 0.1 * torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    picture = torch.cat([0.2 + noise, 0.7 + noise], 3)
    made = even_patches(even_patches(picture, 4), 4)
    assert made[..., 10:50].std() < 0.3 * picture[..., 10:50].std()
    across = made.mean((0, 1, 2))
    assert across[62] < 0.35, "up to the border, and with no blur over it"
    assert across[65] > 0.65


def test_oil_keeps_a_plain_grey_and_watercolour_shows_the_paper() -> None:
    grey = torch.full((1, 160, 200, 3), 128, dtype=torch.uint8)
    oil = OilPaint(OilRecipe())(grey).float()
    assert (oil - 128).abs().max() <= 1
    wash = Watercolour(WatercolourRecipe())(grey).float()
    assert wash.mean() > 135, "lighter"
    assert wash.std() > 2, "grained"
    assert torch.equal(wash[:, :20, :40], wash[:, 128:148, 128:168]), "in place"


@pytest.mark.parametrize("kind", [pytest.param("oil", marks=pytest.mark.slow), "watercolour"])
def test_paints_the_same_in_onnx(kind: str, tmp_path: Path) -> None:
    painted = recipe(tmp_path, blocks=None, **{kind: {}})
    shares = export_filter(painted, tmp_path / "look.onnx", [scene(0, 96, 160)])
    assert max(shares) < 0.002
    made = run(tmp_path / "look.onnx", scene(0, 96, 160))
    assert made.shape == (96, 160, 3)
    spec = spec_of(onnx.load(tmp_path / "look.onnx"), tmp_path)
    assert not spec.keeps_in_half


def test_a_finished_picture_is_not_the_one_that_was_measured(tmp_path: Path) -> None:
    model = tmp_path / "look.onnx"
    export_filter(recipe(tmp_path), model, [scene(0, 96, 160)])
    loaded = onnx.load(model)
    measured = spec_of(loaded, model).model_copy(update={"quality": {"psnr": 30.0}})
    write_spec(loaded, measured)
    onnx.save(loaded, model)
    finish_model(model, FilterKind(halftone=HalftoneRecipe(inks=COLOURS)))
    assert spec_of(onnx.load(model), model).quality == {}


@pytest.mark.slow
def test_finishes_a_trained_generator_that_can_still_be_taught(
    tmp_path: Path,
) -> None:
    trained = tmp_path / "ink.yaml"
    trained.write_text(PAIRED.format(folder=make_content(tmp_path)), "utf-8")
    Trainer(RunDirectory.create(tmp_path / "run", trained), torch.device("cpu")).train()
    run_directory = RunDirectory.open(tmp_path / "run")
    model = tmp_path / "network.onnx"
    export_run(run_directory, model, [scene(0, 200, 300)])
    plain = run(model, scene(0, 96, 160))
    finish_model(model, FilterKind(halftone=HalftoneRecipe(inks=COLOURS)))
    made = run(model, scene(0, 96, 160))
    wanted = HalftonePrint(HalftoneRecipe(inks=COLOURS))(torch.from_numpy(plain[None]))
    assert (made == wanted[0].numpy()).mean() > 0.99
    finish_model(model, FilterKind(oil=OilRecipe()))
    assert run(model, scene(0, 96, 160)).shape == (96, 160, 3), "one over the other"
    generator = build_generator(run_directory.recipe.generator, 0)
    kept = weights_of(model, generator)
    state = run_directory.load_checkpoint(torch.device("cpu"))["average"]
    for name, value in kept.items():
        torch.testing.assert_close(value, state[f"translator.{name}"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"halftone": {"inks": list(COLOURS)}}, "exactly one of halftone"),
        ({"blocks": None}, "exactly one of halftone"),
        ({"over": "absent.onnx"}, "there is no .*absent.onnx"),
        ({"blocks": {"palette": ["red", "blue"]}}, "palette"),
    ],
)
def test_a_recipe_that_prints_nothing_is_refused(
    changed: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises((TrainingError, DocumentError), match=words):
        export_filter(recipe(tmp_path, **changed), tmp_path / "x.onnx", [scene(0, 96, 160)])
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
