"""From a source as it is written to the source, and its rate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from obs_stylizer.sources.open import probe_fps
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes.videos import numbered_pictures, write_video


def test_the_rate_of_a_file(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered_pictures(6), fps=25)
    assert probe_fps(SourceSpec.parse(f"file:{path}")) == pytest.approx(25)


@pytest.mark.parametrize("text", ["pattern", "camera", "screen", "image:x.png", "file:missing.mp4"])
def test_no_rate_of_its_own(text: str) -> None:
    assert probe_fps(SourceSpec.parse(text)) is None


def test_a_library_is_loaded_only_when_it_is_needed() -> None:
    code = "import sys, obs_stylizer.sources, obs_stylizer.sinks; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"av", "cv2", "mss", "pyvirtualcam", "starlette", "uvicorn"}
