"""A painting of one frame, learnt and carried onto others."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from obs_stylizer.cli import keyframe_learn, learning_session
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.presets import load_preset
from obs_stylizer.settings import config_folder
from obs_stylizer.training.bundled_data import bundled_photographs
from obs_stylizer.training.keyframe_learning import KeyframeLearner
from obs_stylizer.training.keyframes import Keyframe, read_keyframe
from obs_stylizer.training.pictures import fit_frame

pytestmark = pytest.mark.training

SIZE = FrameSize(320, 176)
CPU = SessionOptions(provider=Provider.CPU, threads=1)


def poster(picture: Pixels) -> Pixels:
    """From blue to yellow by how bright it is, as nobody's camera sees it."""
    light = picture.mean(2, keepdims=True) / 255
    mixed = (1 - light) * (0, 40, 140) + light * (255, 220, 120)
    return np.ascontiguousarray(mixed, np.uint8)


def save(path: Path, picture: Pixels) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def frame(tmp_path: Path) -> Path:
    return save(tmp_path / "frame.png", fit_frame(bundled_photographs()[4], SIZE))


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    return save(tmp_path / "Poster.png", poster(fit_frame(bundled_photographs()[4], SIZE)))


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings folder, and the right to the processor, which cannot be had back."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("take_low_priority", "take_lowest_priority"):
        monkeypatch.setattr(learning_session, name, lambda: None)


def test_what_was_painted_on_one_frame_comes_out_on_another() -> None:
    seen, other = (fit_frame(bundled_photographs()[number], SIZE) for number in (4, 6))
    pair = np.concatenate([seen, poster(seen)], 2)
    learner = KeyframeLearner([Keyframe(Path("frame"), Path("painted"), pair)])

    def distance() -> float:
        return float(np.abs(learner.paint(other).astype(int) - poster(other)).mean())

    before = distance()
    for number in range(30):
        progress = learner.step(number / 60)
    assert progress.step == 30
    assert distance() < 0.8 * before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p[:, :-8], "frame.png is 320x176 pixels and Poster.png is 312x176"),
        (lambda p: np.full_like(p, 90), "Poster.png has a single colour"),
        (lambda p: fit_frame(bundled_photographs()[4], SIZE), "nothing was painted"),
    ],
)
def test_a_pair_that_teaches_nothing_is_refused(
    frame: Path, painted: Path, change: Any, says: str
) -> None:
    picture = cv2.cvtColor(cv2.imread(str(painted)), cv2.COLOR_BGR2RGB)
    save(painted, np.ascontiguousarray(change(picture)))
    with pytest.raises(TrainingError, match=says):
        read_keyframe(frame, painted)


def test_files_that_are_no_pair_are_named(frame: Path, painted: Path) -> None:
    painted.write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"Poster\.png"):
        read_keyframe(frame, painted)
    tiny = save(frame.with_name("tiny.png"), poster(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(TrainingError, match="8x8 pixels, too small"):
        read_keyframe(tiny, tiny)
    huge = frame.with_name("huge.png")
    Image.new("1", (10_000, 6_000)).save(huge)
    with pytest.raises(TrainingError, match="60 megapixels"):
        read_keyframe(frame, huge)


def test_a_transparent_layer_is_laid_on_the_frame(frame: Path, painted: Path) -> None:
    layer = np.zeros((SIZE.height, SIZE.width, 4), np.uint8)
    layer[:, :160] = (255, 0, 0, 255)
    layer[:, 160:200] = (255, 0, 0, 128)
    Image.fromarray(layer).save(painted)
    pair = read_keyframe(frame, painted).pair
    seen, made = pair[..., :3].astype(int), pair[..., 3:].astype(int)
    width = pair.shape[1]
    assert np.abs(made[:, : width // 2 - 4] - (255, 0, 0)).max() <= 1
    half = slice(width * 170 // 320, width * 190 // 320)
    assert np.abs(made[:, half] - (seen[:, half] + np.array([255, 0, 0])) / 2).mean() < 3
    assert np.array_equal(made[:, -width // 4 :], seen[:, -width // 4 :])


def test_the_command_line_refuses_what_it_cannot_do(
    frame: Path, painted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, says in (
        (["--keyframe", f"{frame}x={painted}"], "begins with no picture that is there"),
        (["--keyframe", f"{frame}={painted}x"], "there is no painted picture"),
        (["--keyframe", f"{frame}={painted}", "--quick"], "nothing but painted frames"),
        (["--keyframe", f"{frame}={painted}", "--more"], "there is no generator poster"),
        (["--keyframe", f"{frame}={painted}"] * 6, "6 painted frames are too many"),
        (["--keyframe", f"{frame}={painted}", "--name", "oil"], "there is a generator oil already"),
        ([str(painted), "--watch"], "--watch belongs to --keyframe"),
        ([], "there is nothing to learn"),
    ):
        assert run_command_line(["learn", *arguments]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.slow
def test_each_save_is_learnt_and_exported_again(
    frame: Path, painted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyframe_learn, "_LOOK_SECONDS", 0.05)
    for name in ("_ENOUGH_STEPS", "_LEAST_STEPS"):
        monkeypatch.setattr(keyframe_learn, name, 2)
    orders = learning_session.Orders(listen=False)
    monkeypatch.setattr(keyframe_learn, "Orders", lambda listen: orders)
    model = config_folder() / "models" / "poster.onnx"
    preset = config_folder() / "presets" / "poster.yaml"
    stamps: list[tuple[int, int]] = []

    def follow() -> None:
        try:
            for repaint in (True, False):
                ends = time.monotonic() + 60
                while not preset.exists() or preset.stat().st_mtime_ns in dict(stamps):
                    assert time.monotonic() < ends
                    time.sleep(0.05)
                stamps.append((preset.stat().st_mtime_ns, model.stat().st_mtime_ns))
                if repaint:
                    painted.write_bytes(b"half a pic")
                    time.sleep(0.5)
                    save(painted, 255 - poster(fit_frame(bundled_photographs()[4], SIZE)))
        finally:
            orders.keep = True

    thread = threading.Thread(target=follow)
    thread.start()
    command = ["learn", "--keyframe", f"{frame}={painted}", "--watch", "--seconds", "1"]
    assert run_command_line(command) == 0
    thread.join()
    assert len(stamps) == 2
    assert stamps[0][1] < stamps[1][1] <= stamps[1][0]
    said = capsys.readouterr()
    assert "not learnt: " in said.err
    assert "On air with it:  obs-stylizer run --preset poster" in said.out

    assert load_preset(preset).model == "poster"
    assert preset.with_suffix(".jpg").read_bytes().startswith(b"\xff\xd8")
    with open_generator(model, SIZE, CPU) as opened:
        assert opened.run(fit_frame(bundled_photographs()[4], SIZE), {}).shape == (176, 320, 3)
    assert run_command_line(command[:3]) == 2
    assert "there is a generator poster already" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_told_and_learning_goes_on(
    frame: Path, painted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system itself refuses to write on, as it does on a full disk."""
    import resource

    monkeypatch.setattr(keyframe_learn, "_EXPORT_SECONDS", 0.2)
    monkeypatch.setattr(keyframe_learn, "_ENOUGH_STEPS", 2)
    orders = learning_session.Orders(listen=False)
    monkeypatch.setattr(keyframe_learn, "Orders", lambda listen: orders)
    said: list[str] = []
    monkeypatch.setattr(keyframe_learn.typer, "echo", lambda text, **_: said.append(text))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    preset = config_folder() / "presets" / "poster.yaml"

    def make_room() -> None:
        ends = time.monotonic() + 60
        while not any("not kept" in text for text in said) and time.monotonic() < ends:
            time.sleep(0.05)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        while not preset.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        orders.keep = True

    thread = threading.Thread(target=make_room)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    thread.start()
    try:
        command = ["learn", "--keyframe", f"{frame}={painted}", "--watch", "--seconds", "1"]
        assert run_command_line(command) == 0
    finally:
        thread.join()
    assert any("poster.onnx cannot be written" in text and "make room" in text for text in said)
    assert (config_folder() / "models" / "poster.onnx").is_file()


@pytest.mark.parametrize("order", ["forget", "gone"])
def test_a_learning_that_is_given_up_leaves_nothing(
    frame: Path,
    painted: Path,
    order: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = learning_session.Orders(listen=False)
    setattr(orders, order, True)
    monkeypatch.setattr(keyframe_learn, "Orders", lambda listen: orders)
    assert run_command_line(["learn", "--keyframe", f"{frame}={painted}", "--json"]) == 0
    assert '"learnt"' not in capsys.readouterr().out
    assert not (config_folder() / "models").exists()
