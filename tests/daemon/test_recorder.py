"""The recorder with a scripted presenter and scripted sinks."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest

from obs_stylizer.clock import SystemClock
from obs_stylizer.daemon import recorder as recorder_module
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.daemon.recorder import Recorder
from obs_stylizer.daemon.sink_runner import SinkRunner
from obs_stylizer.errors import SinkEndedError, SinkError, UsageError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.realtime.events import Event, RecordingEnded, RecordingStarted
from obs_stylizer.segmentation.chroma import CHROMA
from obs_stylizer.sinks.base import SinkFormat

SIZE = FrameSize(64, 32)


def frame(value: int, sequence: int = 0) -> Frame:
    return Frame(np.full(SIZE.shape, value, np.uint8), sequence, float(sequence))


class ScriptedPresenter:
    def __init__(self) -> None:
        self.runners: list[SinkRunner] = []
        self.newest: Frame | None = frame(200)

    def add(self, runner: SinkRunner) -> None:
        self.runners.append(runner)

    def remove(self, runner: SinkRunner) -> None:
        self.runners.remove(runner)


class ScriptedFile:
    """In the place of a file that is written; ``trouble`` is what opening or sending brings."""

    made: list[ScriptedFile]
    trouble_at_open: SinkError | None = None
    trouble_at_send: SinkError | None = None

    def __init__(self, path: Path, codec: str = "h264") -> None:
        self.path = path
        self.sent = 0
        self.closed = False
        ScriptedFile.made.append(self)

    def open(self, form: SinkFormat) -> str:
        if self.trouble_at_open is not None:
            raise self.trouble_at_open
        return str(self.path)

    def send(self, frame: Frame, *, repeated: bool) -> None:
        if self.trouble_at_send is not None:
            raise self.trouble_at_send
        self.sent += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedFile]:
    monkeypatch.setattr(ScriptedFile, "made", [], raising=False)
    monkeypatch.setattr(recorder_module, "VideoFileSink", ScriptedFile)
    return ScriptedFile.made


class Stage:
    def __init__(self, folder: Path) -> None:
        self.presenter = ScriptedPresenter()
        self.told: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.plain: Frame | None = frame(50)
        self.recorder = Recorder(
            cast(Presenter, self.presenter),
            SinkFormat(SIZE, 30.0),
            folder / "films",
            ".mkv",
            folder / "stills",
            lambda: self.plain,
            self.told.put,
            SystemClock(),
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.recorder.close()


def test_recording_begins_once_and_ends(stage: Stage, files: list[ScriptedFile]) -> None:
    path = stage.recorder.start().result(20)
    assert stage.recorder.start().result(20) == path, "it goes on already"
    assert stage.told.get(timeout=20) == RecordingStarted(path)
    assert len(stage.presenter.runners) == 1
    assert stage.recorder.stop().result(20) == path
    assert stage.told.get(timeout=20) == RecordingEnded(path, "")
    assert stage.presenter.runners == []
    assert [file.closed for file in files] == [True]
    with pytest.raises(UsageError, match="nothing is being recorded"):
        stage.recorder.stop().result(20)


def test_recording_that_cannot_begin_is_told_and_leaves_nothing(
    stage: Stage, files: list[ScriptedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedFile, "trouble_at_open", SinkError("no room"))
    with pytest.raises(SinkError, match="no room"):
        stage.recorder.start().result(20)
    assert stage.presenter.runners == []
    monkeypatch.setattr(ScriptedFile, "trouble_at_open", None)
    assert stage.recorder.start().result(20)


def test_full_disk_ends_the_recording_and_says_so(
    stage: Stage, files: list[ScriptedFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage.recorder.start().result(20)
    stage.told.get(timeout=20)
    monkeypatch.setattr(ScriptedFile, "trouble_at_send", SinkEndedError("the disk is full"))
    (runner,) = stage.presenter.runners
    runner.offer(frame(1), due=0.0)
    while stage.told.empty():
        stage.recorder.check()
    assert stage.told.get(timeout=20) == RecordingEnded(path, "the disk is full")
    assert stage.presenter.runners == []


def test_end_closes_a_recording_that_was_only_just_asked_for(
    stage: Stage, files: list[ScriptedFile]
) -> None:
    path = stage.recorder.start()
    stage.recorder.close()
    assert files[0].closed
    assert stage.told.get(timeout=20) == RecordingStarted(path.result(0))
    assert stage.told.get(timeout=20) == RecordingEnded(path.result(0), "the daemon ended")


def test_snapshot_has_both_pictures_of_one_frame(stage: Stage) -> None:
    saved = stage.recorder.snapshot().result(20)
    levels = {name: int(np.median(cv2.imread(str(path)))) for name, path in saved.items()}
    assert levels == {"styled": 200, "plain": 50}
    again = stage.recorder.snapshot().result(20)
    assert set(again.values()).isdisjoint(saved.values()), "no file is written over"


def test_snapshot_without_a_picture_says_so(stage: Stage) -> None:
    stage.presenter.newest = None
    with pytest.raises(UsageError, match="no styled picture yet"):
        stage.recorder.snapshot().result(20)


def test_snapshot_into_a_folder_that_cannot_be_says_so(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "stills").write_text("a file", "utf-8")
    with pytest.raises(SinkError, match="cannot be made"):
        stage.recorder.snapshot().result(20)
    (tmp_path / "stills").unlink()
    assert stage.recorder.snapshot().result(20)


def test_what_is_transparent_is_so_in_the_snapshot(stage: Stage) -> None:
    alpha = np.zeros(SIZE.shape[:2], np.uint8)
    alpha[:, 32:] = 255
    alpha[:, 16:32] = 128
    person = np.full(SIZE.shape, (200, 120, 40), np.uint8)
    shares = alpha[..., None] / 255
    over_green = person * shares + np.array(CHROMA) * (1 - shares)
    shown = Frame((over_green + 0.5).astype(np.uint8), 0, 0.0, alpha=alpha)
    stage.presenter.newest = shown
    paths = stage.recorder.snapshot().result(20)
    picture = cv2.imread(str(paths["styled"]), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture[..., 3], alpha)
    assert np.abs(picture[:, 16:, 2::-1].astype(int) - person[:, 16:]).max() <= 2
    assert cv2.imread(str(paths["plain"]), cv2.IMREAD_UNCHANGED).shape[2] == 3
