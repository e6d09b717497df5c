"""``obs-stylizer render`` as an editor uses it: real processes, files, pipes and signals."""

from __future__ import annotations

import io
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest

from tests.fakes.models import write_invert_model, write_slow_model, write_tint_model
from tests.fakes.videos import write_sound
from tests.render.clips import Recipe, chart, decoded, moving_pictures, write_clip
from tests.render.conftest import PRESETS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")

COMMAND = [sys.executable, "-m", "obs_stylizer", "render"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with small presets, and a clip of two and a half segments."""
    home = tmp_path_factory.mktemp("home")
    presets = home / "config" / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    write_invert_model(presets / "invert.onnx")
    write_tint_model(presets / "tint.onnx")
    write_slow_model(presets / "slow.onnx")
    for name, text in PRESETS.items():
        (presets / f"{name}.yaml").write_text(text, "utf-8")
    (presets / "slow.yaml").write_text(
        "title: Slow\nmodel: ./slow.onnx\nprocess_size: 320x240\ncoherence: 0.5\n", "utf-8"
    )
    (presets.parent / "config.yaml").write_text("provider: cpu\npreset: invert\n", "utf-8")
    write_clip(home / "long.mp4", Recipe(moving_pictures(600), sound=True))
    write_clip(home / "short.mp4", Recipe(moving_pictures(40), sound=True))
    return home


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CONFIG_HOME": str(home / "config"), "COLUMNS": "200"}


def run(
    home: Path, *arguments: str | Path, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(home),
        cwd=home,
        capture_output=True,
        input=stdin,
        timeout=200,
    )


def start(home: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(home),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def events(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.decode().splitlines()]


def wait_until(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "it did not happen in time"
        time.sleep(0.05)


def test_progress_for_programs(home: Path, tmp_path: Path) -> None:
    done = run(home, "long.mp4", "-o", tmp_path / "out.mp4", "--json-progress")
    assert done.returncode == 0, done.stderr
    told = events(done.stdout)
    assert [told[0]["event"], told[-1]["event"]] == ["begin", "done"]
    assert told[-1]["frames"] == 600
    assert told[-1]["output"] == str(tmp_path / "out.mp4")
    frames = [event["frame"] for event in told[1:-1] if event["stage"] == "rendering"]
    assert frames == sorted(frames)
    assert frames[-1] == 600
    assert all(event["frames"] == 600 for event in told[1:-1])
    assert len(decoded(tmp_path / "out.mp4")[0]) == 600


def test_a_bar_on_a_terminal_and_none_without(home: Path, tmp_path: Path) -> None:
    done = run(home, "short.mp4", "-o", tmp_path / "quiet.mp4")
    assert b"\x1b[" not in done.stderr
    assert done.stdout == b""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "long.mp4", "-o", str(tmp_path / "bar.mp4")],
        env={**environment(home), "TERM": "xterm"},
        cwd=home,
        stderr=other,
        stdout=subprocess.DEVNULL,
    )
    os.close(other)
    shown = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:
            break
        shown += part
    os.close(main)
    assert process.wait(30) == 0
    assert b"/600" in shown
    assert b" fps" in shown
    assert b"\x1b[" in shown


def test_ctrl_c_ends_within_a_second_and_resuming_gives_the_same_file(
    home: Path, tmp_path: Path
) -> None:
    arguments = ("long.mp4", "--preset", "calm", "--cue", "0:09.5=blue")
    assert run(home, *arguments, "-o", tmp_path / "whole.mp4").returncode == 0
    target = tmp_path / "out.mp4"
    process = start(home, *arguments, "-o", target)
    wait_until((tmp_path / ".out.mp4.render" / "segment-00000.json").exists)
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    _, errors = process.communicate(timeout=10)
    assert time.perf_counter() - began < 1
    assert process.returncode == 130
    assert b"--resume" in errors
    assert not target.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out.mp4.render", "whole.mp4"]
    done = run(home, *arguments, "-o", target, "--resume")
    assert done.returncode == 0, done.stderr
    assert b"going on after frame" in done.stderr
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]


def test_ctrl_c_does_not_wait_for_a_slow_generator(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    process = start(
        home, "long.mp4", "-o", target, "--preset", "slow", "--process-size", "1280x960"
    )
    wait_until((tmp_path / ".out.mp4.render" / "segment-00000.packets").exists, 120)
    process.send_signal(signal.SIGINT)
    began = time.perf_counter()
    process.communicate(timeout=10)
    assert time.perf_counter() - began < 1
    assert process.returncode == 130
    assert not target.exists()


def test_killed_in_the_middle_it_goes_on_too(home: Path, tmp_path: Path) -> None:
    assert run(home, "long.mp4", "-o", tmp_path / "whole.mp4").returncode == 0
    target = tmp_path / "out.mp4"
    process = start(home, "long.mp4", "-o", target)
    wait_until((tmp_path / ".out.mp4.render" / "segment-00000.json").exists)
    process.kill()
    process.communicate()
    assert not target.exists()
    assert run(home, "long.mp4", "-o", target, "--resume").returncode == 0
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_full_disk_loses_nothing(home: Path, tmp_path: Path) -> None:
    assert run(home, "long.mp4", "-o", tmp_path / "whole.mp4").returncode == 0
    target = tmp_path / "out.mp4"
    first = (tmp_path / "whole.mp4").stat().st_size // 3
    done = subprocess.run(
        [*COMMAND, "long.mp4", "-o", str(target)],
        env=environment(home),
        cwd=home,
        capture_output=True,
        # No file may become larger, as on a disk that is full.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (first, first)),
        timeout=200,
    )
    assert done.returncode == 1
    assert b"cannot write" in done.stderr
    assert b"Traceback" not in done.stderr
    assert not target.exists()
    assert run(home, "long.mp4", "-o", target, "--resume").returncode == 0
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_it_stands_in_a_pipe(home: Path, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", Recipe([chart(96, 64)] * 12, codec="ffv1"))
    first = run(home, source, "-o", "-", "--preset", "plain", "--json-progress")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(b"YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420mpeg2")
    with av.open(io.BytesIO(first.stdout), format="yuv4mpegpipe") as container:
        frames = list(container.decode(video=0))
    with av.open(str(source)) as container:
        originals = list(container.decode(video=0))
    assert len(frames) == 12
    for one, other in zip(frames, originals, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())
    target = tmp_path / "out.mkv"
    second = run(
        home, "-", "-o", target, "--codec", "ffv1", "--preset", "invert", stdin=first.stdout
    )
    assert second.returncode == 0, second.stderr
    pictures, times = decoded(target)
    assert len(pictures) == 12
    assert times == pytest.approx([number / 25 for number in range(12)], abs=0.001)
    third = run(home, "-", "-o", "-", "--preset", "invert", stdin=first.stdout)
    assert third.stdout.startswith(b"YUV4MPEG2 ")
    assert len(third.stdout) == len(first.stdout)
    assert third.stdout != first.stdout


def test_a_reader_that_leaves_ends_the_stream(home: Path) -> None:
    process = start(home, "long.mp4", "-o", "-")
    assert process.stdout is not None
    assert process.stdout.read(20).startswith(b"YUV4MPEG2")
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(30) == 1
    assert b"whoever read the stream has left" in errors
    process.stderr.close()


def test_rubbish_on_stdin(home: Path, tmp_path: Path) -> None:
    done = run(home, "-", "-o", tmp_path / "out.mp4", stdin=b"no video at all" * 100)
    assert done.returncode == 1
    assert b"stdin is no video" in done.stderr


def test_many_inputs_and_one_that_is_broken(home: Path, tmp_path: Path) -> None:
    shutil.copy(home / "short.mp4", tmp_path / "one.mp4")
    shutil.copy(home / "short.mp4", tmp_path / "two.mkv")
    write_sound(tmp_path / "tone.m4a")
    out = tmp_path / "out"
    done = run(
        home, tmp_path / "one.mp4", tmp_path / "tone.m4a", tmp_path / "two.mkv", "-o", f"{out}/"
    )
    assert done.returncode == 1
    assert b"there is no picture in tone.m4a, only sound" in done.stderr
    assert b"1 of 3 could not be rendered" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["one.mp4", "two.mkv"]
    assert len(decoded(out / "two.mkv")[0]) == 40


def test_many_inputs_are_gone_on_with(home: Path, tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(home / "short.mp4", tmp_path / name)
    out = tmp_path / "out"
    assert run(home, tmp_path / "one.mp4", "-o", out).returncode == 0
    stamp = (out / "one.mp4").stat().st_mtime_ns
    done = run(home, tmp_path / "one.mp4", tmp_path / "two.mp4", "-o", out, "--resume")
    assert done.returncode == 0, done.stderr
    assert b"left as it is" in done.stderr
    assert (out / "one.mp4").stat().st_mtime_ns == stamp
    assert (out / "two.mp4").exists()


def test_pictures_and_folders_of_pictures(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"shot{number}.png"), np.full((36, 64, 3), 10 * number, np.uint8))
    assert run(home, folder / "shot1.png", "-o", tmp_path / "one.png").returncode == 0
    assert (cv2.imread(str(tmp_path / "one.png")) == 245).all()
    assert run(home, folder, "-o", tmp_path / "all").returncode == 0
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == [
        "shot1.png",
        "shot10.png",
        "shot2.png",
    ]
    film = tmp_path / "film.mkv"
    # Without a generator, which would calm changes as small as these.
    options = ("--fps", "10", "--codec", "ffv1", "--preset", "plain")
    assert run(home, folder, "-o", film, *options).returncode == 0
    pictures, times = decoded(film)
    assert [round(float(p.mean())) for p in pictures] == [10, 20, 100]
    assert times == pytest.approx([0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("short.mp4", "-o", "short.mp4"), 2, "would be replaced by its own rendering"),
        (("gone.mp4", "-o", "x.mp4"), 1, "there is no file gone.mp4"),
        (("short.mp4", "-o", "x.mp4", "--cue", "soon=invert"), 2, "is no time"),
        (("short.mp4", "-o", "x.mp4", "--cue", "0:01"), 2, "write it as TIME=PRESET"),
        (("short.mp4", "-o", "x.mp4", "--cue", "0:01=invrt"), 1, "did you mean “invert”"),
        (("short.mp4", "-o", "x.mp4", "--preset", "gone"), 1, "there is no preset “gone”"),
        (("short.mp4", "-o", "x.avi"), 2, "h264 cannot go into .avi"),
        (("short.mp4", "-o", "x.mp4", "--container", "mkv"), 2, "do not agree"),
        (("short.mp4", "-o", "x.mp4", "--codec", "vp8"), 2, "is no codec"),
        (("short.mp4", "long.mp4", "-o", "x.mp4"), 2, "2 inputs cannot become one"),
        (("short.mp4", "-o", "gone/deep/x.mp4", "--strength", "2"), 2, "goes from 0 to 1"),
        (("short.mp4", "-o", "x.mp4", "--cluster", "local:none"), 2, "is no cluster"),
        (("-o", "x.mp4"), 2, "nothing to render"),
    ],
)
def test_mistakes_are_told(home: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    before = sorted(path.name for path in home.iterdir())
    done = run(home, *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.decode().split())
    assert b"Traceback" not in done.stderr
    assert sorted(path.name for path in home.iterdir()) == before


def test_cues_from_a_file(home: Path, tmp_path: Path) -> None:
    cues = tmp_path / "cues.yaml"
    cues.write_text(
        "cues:\n  - {at: 0.4, preset: invert}\n  - {at: '0:01', preset: plain, strength: 0.5}\n"
    )
    grey = [np.full((48, 64, 3), 60, np.uint8)] * 50
    source = write_clip(tmp_path / "in.mkv", Recipe(grey, codec="ffv1"))
    done = run(
        home, source, "-o", tmp_path / "out.mkv", "--codec", "ffv1", "--preset", "plain",
        "--cues", cues,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    levels = [round(float(p.mean())) for p in decoded(tmp_path / "out.mkv")[0]]
    assert levels[:10] == [60] * 10
    # The change begins with the frame at its time, and the crossfade lasts 400 ms.
    assert 60 < levels[10] < levels[14] < 195
    assert levels[21:25] == pytest.approx([195] * 4, abs=1)
    assert levels[-5:] == [60] * 5
    cues.write_text("cues:\n  - {at: soon, preset: invert}\n")
    done = run(home, source, "-o", tmp_path / "other.mkv", "--cues", cues)
    assert done.returncode == 1
    assert b"cues.yaml:2" in done.stderr


@pytest.mark.slow
def test_a_folder_is_watched(home: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(home / "short.mp4", folder / "first.mp4")
    process = start(home, "--watch", folder, "-o", out, "--json-progress")
    wait_until((out / "first.mp4").exists)
    # Still being written: it must not be touched before it is whole.
    data = (home / "short.mp4").read_bytes()
    with (folder / "second.mp4").open("wb") as file:
        for part in range(0, len(data), len(data) // 6 + 1):
            file.write(data[part : part + len(data) // 6 + 1])
            file.flush()
            time.sleep(0.8)
            assert not list(out.glob("*second*"))
    (folder / "notes.txt").write_text("no video")
    (folder / "broken.mp4").write_bytes(b"no video either")
    wait_until((out / "second.mp4").exists)
    ledger = out / ".obs-stylizer-watch.json"
    wait_until(lambda: "broken.mp4" in json.loads(ledger.read_text()))
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert b"broken.mp4 is not rendered" in errors
    begun = [Path(e["input"]).name for e in events(told) if e["event"] == "begin"]
    assert sorted(begun) == ["broken.mp4", "first.mp4", "second.mp4"]
    stamps = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    # Once more, with one file more: what was done is left alone.
    shutil.copy(home / "short.mp4", folder / "third.mp4")
    process = start(home, "--watch", folder, "-o", out, "--json-progress")
    wait_until((out / "third.mp4").exists)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=10)
    assert [Path(e["input"]).name for e in events(told) if e["event"] == "begin"] == ["third.mp4"]
    assert {name: (out / name).stat().st_mtime_ns for name in stamps} == stamps


def test_a_watched_folder_is_not_its_own_target(home: Path, tmp_path: Path) -> None:
    done = run(home, "--watch", tmp_path, "-o", tmp_path)
    assert done.returncode == 2
    assert b"watched for its own results" in done.stderr


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes of a local cluster that have loaded a generator."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if any("onnxruntime" in m.path for m in child.memory_maps()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_a_cluster_gives_the_same_file_even_if_a_worker_is_killed(
    home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    clip = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(700), sound=True))
    arguments = (clip, "--preset", "slow", "--cue", "0:19=calm", "--process-size", "64x48")
    one = tmp_path / "one.mp4"
    assert run(home, *arguments, "-o", one).returncode == 0
    two = tmp_path / "two.mp4"
    process = start(home, *arguments, "-o", two, "--cluster", "local:2", "--json-progress")
    wait_until(lambda: len(workers_of(process)) == 2, 120)
    workers_of(process)[0].kill()
    told, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert events(told)[-1]["frames"] == 700
    assert two.read_bytes() == one.read_bytes()
