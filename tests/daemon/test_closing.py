"""Ending side by side, and what the daemon keeps when a part of it does not end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import Record
from obs_stylizer.daemon import app
from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.closing import end_together
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.frames import FrameSize
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """An event that is set only when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_what_hangs_is_left_behind_and_named(never: threading.Event) -> None:
    ended = []
    late = end_together({"hangs": never.wait, "ends": lambda: ended.append("ends")}, 0.2)
    assert late == ["hangs"]
    assert ended == ["ends"]


def test_what_fails_is_logged_and_keeps_nothing_up(log_errors: list[str]) -> None:
    ended = []

    def fail() -> None:
        raise OSError("jammed")

    assert end_together({"fails": fail, "ends": lambda: ended.append("ends")}, 5.0) == []
    assert ended == ["ends"]
    assert "fails does not end as it should" in log_errors.pop()


def test_recording_is_whole_though_a_control_surface_does_not_end(
    tmp_path: Path, never: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "CLOSE_SECONDS", 3.0)
    (tmp_path / "plain.yaml").write_text("title: Plain\n", "utf-8")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((72, 128, 3), 50, np.uint8))
    films: list[Path] = []

    class Stuck:
        def __init__(self, api: ControlApi) -> None:
            self._api = api

        def start(self) -> None:
            answer = self._api.send(Record(True)).result(30)
            films.append(Path(answer.details["path"]))

        def stop(self) -> None:
            with av.open(str(films[0])) as film:
                assert sum(1 for _ in film.decode(video=0)) > 0, "it is closed before we are"
            never.wait()

    options = DaemonOptions(
        source=SourceSpec.parse(f"image:{tmp_path / 'grey.png'}"),
        sinks=(SinkSpec.parse("null"),),
        preset="plain",
        size=FrameSize(128, 72),
        fps=30.0,
        preload=False,
        recording=RecordingSettings(folder=str(tmp_path / "films"), container="mp4"),
        frames=20,
    )
    with Daemon(options, PresetLibrary([tmp_path]), control_surfaces=[Stuck]) as daemon:
        assert daemon.wait(60)
    assert daemon.left_behind == ["control 1 (Stuck)"]
    assert daemon.last_statistics.sent >= 20
