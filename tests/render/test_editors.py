"""What is put into video editors: Blender for real; Kdenlive's job as Kdenlive calls it; Resolve's
script against a stand-in for Resolve, which cannot be had here."""

from __future__ import annotations

import configparser
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.fakes.models import write_invert_model
from tests.render.clips import Recipe, decoded, moving_pictures, write_clip
from tests.render.conftest import PRESETS

EDITORS = Path(__file__).resolve().parents[2] / "installer" / "editors"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script is the program")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One preset, and a program that finds it from wherever an editor starts it."""
    presets = tmp_path / "config" / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    write_invert_model(presets / "invert.onnx")
    (presets / "invert.yaml").write_text(PRESETS["invert"], "utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    program = tmp_path / "obs-stylizer"
    root = EDITORS.parents[1]
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m obs_stylizer "$@"\n'
    )
    program.chmod(0o755)
    return tmp_path


def install(home: Path, *arguments: str) -> str:
    program = str(home / "obs-stylizer")
    done = subprocess.run(
        [sys.executable, EDITORS / "install_editors.py", *arguments, "--program", program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EDITORS / "install_editors.py", "kdenlive", "--program", "gone"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "name it with --program" in done.stderr


IN_BLENDER = """
import json, os, bpy
bpy.ops.preferences.addon_enable(module="blender_obs_stylizer")
scene = bpy.context.scene
scene.render.fps = 25
scene.sequence_editor_create()
clip = os.environ["CLIP"]
strips = scene.sequence_editor.sequences
strip = strips.new_movie(name="clip", filepath=clip, channel=1, frame_start=11)
strip.frame_offset_start, strip.frame_offset_end = 4, 6
strip.select = True
answer = bpy.ops.sequencer.obs_stylizer(preset="invert", strength=1.0)
styled = [s for s in strips if s.channel == 2][0]
scene.render.resolution_x, scene.render.resolution_y = 64, 48
scene.render.resolution_percentage = 100
scene.view_settings.view_transform = "Standard"
scene.render.image_settings.file_format = "PNG"
scene.render.filepath = os.environ["STILL"]
scene.frame_set(25)
bpy.ops.render.render(write_still=True)
told = {
    "answer": sorted(answer),
    "file": bpy.path.abspath(styled.filepath),
    "start": styled.frame_final_start,
    "end": styled.frame_final_end,
    "old": [strip.frame_final_start, strip.frame_final_end],
}
open(os.environ["TOLD"], "w").write(json.dumps(told))
bpy.ops.preferences.addon_disable(module="blender_obs_stylizer")
"""


def test_blender_renders_a_strip_and_lays_it_above(home: Path) -> None:
    blender = shutil.which("blender")
    if blender is None:
        pytest.skip("Blender is not installed (apt install blender)")
    addons = home / "scripts" / "addons"
    install(home, "blender", "--folder", str(addons))
    clip = write_clip(home / "clip.mp4", Recipe(moving_pictures(40)))
    script = home / "check.py"
    script.write_text(IN_BLENDER)
    arguments = ("--background", "--factory-startup", "--python-exit-code", "3", "--python")
    done = subprocess.run(
        [blender, *arguments, str(script)],
        env={
            **os.environ,
            "BLENDER_USER_SCRIPTS": str(home / "scripts"),
            "CLIP": str(clip),
            "STILL": str(home / "still.png"),
            "TOLD": str(home / "told.json"),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((home / "told.json").read_text())
    assert told["answer"] == ["FINISHED"]
    assert told["file"] == str(home / "clip-invert.mp4")
    assert [told["start"], told["end"]] == told["old"] == [15, 45]
    assert len(decoded(home / "clip-invert.mp4")[0]) == 40
    # What Blender shows at frame 25 is frame 14 of the clip, turned to its opposite.
    shown = cv2.cvtColor(cv2.imread(str(home / "still.png")), cv2.COLOR_BGR2RGB)
    expected = decoded(home / "clip-invert.mp4")[0][14]
    assert np.abs(shown.astype(int) - expected).mean() < 6
    install(home, "blender", "--folder", str(addons), "--remove")
    assert not list(addons.glob("*.py"))


def job_of(folder: Path) -> dict[str, str]:
    settings = configparser.RawConfigParser()
    settings.optionxform = str  # type: ignore[assignment, method-assign]
    settings.read(folder / "clipjobsettings.rc")
    return {
        group: settings.get(group, "obs-stylizer")
        for group in settings.sections()
        if settings.has_option(group, "obs-stylizer")
    }


def test_kdenlive_job(home: Path) -> None:
    folder = home / "kdenlive"
    folder.mkdir()
    (folder / "clipjobsettings.rc").write_text("[Ids]\nother=My own\n\n[Binary]\nother=/bin/true\n")
    install(home, "kdenlive", "--folder", str(folder))
    job = job_of(folder)
    assert "invert" in job["Param1List"].split("  ")
    # As Kdenlive does: split at spaces, put the paths in, start, read the error stream.
    clip = write_clip(home / "my clip.mp4", Recipe(moving_pictures(300)))
    target = home / "my clip-0001.mp4"
    values = {"{source}": str(clip), "{output}": str(target), "{param1}": "invert"}
    arguments = [values.get(part, part) for part in job["Parameters"].split(" ")]
    done = subprocess.run([job["Binary"], *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shares = [
        int(line.partition("percentage:")[2])
        for line in done.stderr.splitlines()
        if "percentage:" in line
    ]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert len(decoded(target)[0]) == 300
    install(home, "kdenlive", "--folder", str(folder), "--remove")
    assert job_of(folder) == {}
    assert "other=My own" in (folder / "clipjobsettings.rc").read_text()


class StandIn:
    """Answers like Resolve, as far as its README tells."""

    def __init__(self, clip: str | None) -> None:
        self._clip = clip
        self.imported: list[str] = []

    def GetProjectManager(self) -> StandIn:  # noqa: N802
        return self

    def GetCurrentProject(self) -> StandIn:  # noqa: N802
        return self

    def GetCurrentTimeline(self) -> StandIn | None:  # noqa: N802
        return self

    def GetCurrentVideoItem(self) -> StandIn | None:  # noqa: N802
        return self if self._clip else None

    def GetMediaPoolItem(self) -> StandIn:  # noqa: N802
        return self

    def GetClipProperty(self, name: str) -> str:  # noqa: N802
        assert name == "File Path"
        return self._clip or ""

    def GetMediaPool(self) -> StandIn:  # noqa: N802
        return self

    def ImportMedia(self, paths: list[str]) -> list[Any]:  # noqa: N802
        self.imported += paths
        return [object() for _ in paths]


def test_resolve_script(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = home / "resolve"
    install(home, "resolve", "--folder", str(folder))
    script = folder / "Utility" / "obs-stylizer" / "invert.py"
    clip = write_clip(home / "shot.mov", Recipe(moving_pictures(30)))
    resolve = StandIn(str(clip))
    for target in ("shot-invert.mp4", "shot-invert-2.mp4"):
        runpy.run_path(str(script), {"resolve": resolve}, "__main__")
        assert resolve.imported[-1] == str(home / target)
        assert len(decoded(home / target)[0]) == 30
    assert "is in the media pool" in capsys.readouterr().out
    runpy.run_path(str(script), {"resolve": StandIn(None)}, "__main__")
    assert "there is no clip from a file under the playhead" in capsys.readouterr().out
    runpy.run_path(str(script), {"resolve": StandIn(str(home / "gone.mp4"))}, "__main__")
    assert "there is no file" in capsys.readouterr().out
    install(home, "resolve", "--folder", str(folder), "--remove")
    assert not script.exists()
