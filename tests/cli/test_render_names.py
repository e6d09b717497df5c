"""Files of any name, in batches that never end because of one of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.render.clips import Recipe, moving_pictures, write_clip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")

LATIN = os.fsdecode(b"caf\xe9.mp4")
GOOD = [
    "My Video [dQw4w9WgXcQ].mp4",
    "[red]Show :smile: [1080p].mp4",
    "x[/y].mp4",
    "-o.mp4",
    "a:b.mp4",
    "two\nlines.mp4",
    "100%d.mp4",
    LATIN,
    "長" * 83 + ".mp4",
]
BROKEN = ["broken [abc].mp4", "x[/broken :boom:].mp4"]


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    presets = folder.parent / "config" / "obs-stylizer" / "presets"
    presets.mkdir(parents=True, exist_ok=True)
    (presets / "plain.yaml").write_text("title: Plain\n")
    return subprocess.run(
        [sys.executable, "-m", "obs_stylizer", "render", "--preset", "plain", *arguments],
        env={
            **os.environ,
            "XDG_CONFIG_HOME": str(folder.parent / "config"),
            "COLUMNS": "60",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        timeout=200,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    (folder / "x[").mkdir(parents=True)
    clip = write_clip(tmp_path / "clip.mp4", Recipe(moving_pictures(5)))
    for name in GOOD:
        shutil.copy(clip, folder / name)
    for name in BROKEN:
        (folder / name).write_bytes(b"no video")
    return folder


def test_a_batch_of_odd_names_and_broken_files(folder: Path, tmp_path: Path) -> None:
    names = [f"./{name}" for name in (*GOOD[:4], *BROKEN, "gone.mp4", *GOOD[4:])]
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "empty").mkdir()
    bad = ("loop.mp4", "empty", "y" * 300 + ".mp4")
    done = run(folder, *names, *bad, "-o", f"{tmp_path / 'out'}/")
    told = done.stderr.decode(errors="surrogateescape")
    assert done.returncode == 1
    assert "Traceback" not in told
    assert "unexpected" not in told
    made = {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()}
    assert made == {os.fsencode(Path(name).name) for name in GOOD}
    for name in (*BROKEN, "gone.mp4", *bad):
        (line,) = [line for line in told.splitlines() if line.startswith(f"error: {name}: ")]
        assert line
    assert told.count("error:") == len(BROKEN) + 5
    assert "6 of 15 could not be rendered" in told
    assert "[red]Show :smile: [1080p].mp4: 5 frames" in told


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_lines_of_json_are_utf_8_whatever_a_file_is_called(
    folder: Path, tmp_path: Path, encoding: str
) -> None:
    names = ["長.mp4", LATIN, BROKEN[0]]
    shutil.copy(folder / GOOD[0], folder / names[0])
    paths = [f"./{name}" for name in names]
    out = f"{tmp_path / 'out'}/"
    done = run(folder, *paths, "-o", out, "--json-progress", PYTHONIOENCODING=encoding)
    events = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    ends = {event.get("input"): event["event"] for event in events}
    assert ends == {names[0]: "done", names[1]: "done", names[2]: "failed", None: "failed"}


def test_pictures_of_odd_names(folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    source = Path(__file__).parents[2] / "installer" / "pictures" / "panel-1280.png"
    names = [os.fsdecode(b"caf\xe9.png"), "長" * 83 + ".png", "[red]:smile:.png"]
    for name in names:
        shutil.copy(source, pictures / name)
    done = run(folder, str(pictures), "-o", str(tmp_path / "out"), "--size", "64x48")
    assert done.returncode == 0, done.stderr
    made = sorted(os.fsencode(path.name) for path in (tmp_path / "out").iterdir())
    assert made == sorted(os.fsencode(name) for name in names)


def test_a_name_that_is_too_long_to_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    # One byte longer than the source's, since it ends in .mp4 and not in .ts.
    long = "x" * 252 + ".ts"
    shutil.copy(folder / GOOD[0], folder / long)
    done = run(folder, long, "./a:b.mp4", "-o", f"{tmp_path / 'out'}/")
    told = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in told
    assert "unexpected" not in told
    assert "cannot be a file" in told
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a:b.mp4"]
    # The remedy: another name after -o.
    done = run(folder, long, "-o", str(tmp_path / "short.mp4"))
    assert done.returncode == 0
    assert (tmp_path / "short.mp4").exists()
