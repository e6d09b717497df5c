"""One more style of an exported generator, learnt from a picture without its training."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from obs_stylizer.cli import learning_session
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.model_spec import write_spec
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.inference.style_packs import StylePack, read_pack, styles_folder, write_pack
from obs_stylizer.inference.style_rows import StyleRows, hash_weights, read_rows, row_text
from obs_stylizer.presets import load_preset
from obs_stylizer.settings import config_folder
from obs_stylizer.training.bundled_data import FEATURES, PHOTOGRAPHS, bundled_photographs
from obs_stylizer.training.export import describe, give_rows, to_onnx
from obs_stylizer.training.exported_weights import keep_weights
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.quick_learning import QuickLearner
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.style_pictures import check_picture, read_style
from obs_stylizer.yaml_text import write_yaml

pytestmark = pytest.mark.training

PAINTINGS = find_model("paintings")
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
        monkeypatch.setattr(learning_session, name, lambda: None)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "My Stripes.png"
    cv2.imwrite(str(path), cv2.cvtColor(stripes(), cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator of two styles, untrained, with its recipe beside it."""
    folder = tmp_path_factory.mktemp("exported")
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "objective": "painting",
            "painting": {"styles": {name: {"picture": "x.jpg"} for name in ("stripes", "rings")}},
            "data": {"content": ["photos"]},
            "generator": {"kind": "fast", "channels": 8, "blocks": 1},
            "schedule": {"steps": 1},
        }
    )
    torch.manual_seed(3)
    trained = build_generator(recipe.generator, 2)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    native = NativeGenerator(trained)
    model = to_onnx(native)
    keep_weights(model, native)
    spec = describe(recipe, native.size_multiple, {})
    give_rows(model)
    write_spec(model, spec.model_copy(update={"weights_hash": hash_weights(model)}))
    onnx.save(model, folder / "tiny.onnx")
    (folder / "tiny.yaml").write_text(write_yaml(recipe.model_dump(mode="json")), "utf-8")
    return folder / "tiny.onnx"


@pytest.fixture
def generator(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same among the user's own models."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = config_folder() / "models"
    shutil.copytree(exported.parent, folder)
    return folder / exported.name


def _firsts(rows: StyleRows) -> list[int]:
    """Return the place in a row at which each of its parts begins."""
    return [sum(width for _, width in rows.parts[:number]) for number in range(len(rows.parts))]


def test_a_row_learns_the_style_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    photographs = bundled_photographs()[:2]
    size = FrameSize(320, 240)
    scene = fit_frame(bundled_photographs()[4], size)
    with open_generator(PAINTINGS, size, CPU) as opened:
        painting = opened.run(scene, {"udnie": 1}).copy()
        other = opened.style_vector({"san-giorgio": 1})
    learner = QuickLearner(PAINTINGS, [painting], photographs, row=other)
    first = learner.step(0)
    steps = 12
    for number in range(1, steps):
        progress = learner.step(number / steps)
    assert progress.step == steps
    assert progress.style_ratio < 0.9 * first.style_ratio
    # How much local contrast the style wants is learnt as well.
    rows = read_rows(onnx.load(PAINTINGS), PAINTINGS)
    assert rows is not None
    first_of = dict(zip((name for name, _ in rows.parts), _firsts(rows), strict=True))
    gain = first_of["generator.contrast.gain"]
    assert learner.row[gain] != other[gain]

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
    with open_generator(PAINTINGS, FrameSize(160, 160), CPU) as opened:
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


def test_a_picture_that_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (10_000, 6_000)).save(path)
    with pytest.raises(TrainingError, match="60 megapixels, more than 50"):
        read_style(path)


def test_the_style_of_a_film_is_that_of_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width = stream.height = 96
        for number in range(30):
            dark = number < 6 or number > 23
            pixels = np.zeros((96, 96, 3), np.uint8) if dark else stripes()
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                film.mux(packet)
        for packet in stream.encode():
            film.mux(packet)
    frames = read_style(path)
    assert 2 <= len(frames) < 6
    assert all(np.abs(frame.astype(int) - stripes()).mean() < 20 for frame in frames)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TrainingError, match="cannot be read"):
        read_style(path)


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


def test_a_full_disk_is_told_before_anything_is_learnt(
    generator: Path,
    picture: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = shutil.disk_usage(picture)._replace(free=3_000_000)
    monkeypatch.setattr(learning_session.shutil, "disk_usage", lambda path: left)
    command = ["learn", "--quick", str(picture), "--generator", generator.stem]
    assert run_command_line(command) == 1
    assert "has 3 MB of room" in capsys.readouterr().err
