"""A watched folder: what is taken out of it, under which name, and what is left alone."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceError
from obs_stylizer.render.file_render import Output, Result
from obs_stylizer.render.requests import Request
from obs_stylizer.render.watching import watch_folder
from obs_stylizer.render.worklist import RenderOptions
from tests.render.conftest import MakeStyle


class HurriedClock(ManualClock):
    """Ten seconds go by at every look, so that all files are whole at the second one."""

    def now(self) -> float:
        self.advance(10)
        return super().now()


def test_what_comes_in(
    tmp_path: Path, make_style: MakeStyle, caplog: pytest.LogCaptureFixture
) -> None:
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = ["IMG_1.HEIC", "IMG_2.HEIC", "IMG_2.jpg", "[a] :smile:.mp4", "broken.mov", "notes.txt"]
    for name in (*names, "._IMG_1.HEIC", ".DS_Store", "Thumbs.db", "moving.gif"):
        (folder / name).write_bytes(b"something")
    stop = threading.Event()
    begun: dict[str, str] = {}

    def render(request: Request, options: RenderOptions) -> Result:
        assert request.source is not None
        assert request.target is not None
        begun[request.source.name] = request.target.name
        if len(begun) == 5:
            stop.set()
        if request.source.name == "broken.mov":
            raise SourceError("broken.mov is no video")
        return Result(request.target, 1, 1, 0.1)

    options = RenderOptions(make_style("plain"), Output())
    with caplog.at_level(logging.INFO):
        watch_folder(folder, target, options, "", render, stop, clock=HurriedClock())
    assert begun == {
        "IMG_1.HEIC": "IMG_1.jpg",
        "IMG_2.HEIC": "IMG_2.HEIC.jpg",
        "IMG_2.jpg": "IMG_2.jpg",
        "[a] :smile:.mp4": "[a] :smile:.mp4",
        "broken.mov": "broken.mov",
    }
    left = [r.getMessage() for r in caplog.records if "left alone" in r.getMessage()]
    assert sorted(line.partition(" ")[0] for line in left) == ["moving.gif", "notes.txt"]
