"""Cameras that work, are busy, give nothing or too little, and that a daemon holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from obs_stylizer.doctor import camera_trial, cameras
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.locks import Holder
from tests.fakes.camera import FakeDevice, fake_cameras, info

RESULT = {"width": 1280, "height": 720, "fps": 29.9, "promised_fps": 30.0, "details": "by V4L2"}


@contextmanager
def present(**devices: FakeDevice) -> Iterator[list[list[str]]]:
    """Let there be these cameras for a trial, which is run here; yields what was asked."""
    asked: list[list[str]] = []
    answers: list[dict[str, Any]] = []

    def ask(_module: str, *arguments: str, seconds: float) -> dict[str, Any]:
        asked.append(list(arguments))
        camera_trial.main(list(arguments))
        return answers.pop()

    with fake_cameras(**devices), pytest.MonkeyPatch.context() as patch:
        from obs_stylizer.sources import camera

        patch.setattr(camera_trial, "list_cameras", camera.list_cameras)
        patch.setattr(camera_trial, "tell", answers.append)
        patch.setattr(camera_trial, "SECONDS", 0.3)
        patch.setattr(camera_trial.measure, "__defaults__", (0.3,))
        patch.setattr(cameras, "ask", ask)
        yield asked


def examine(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in cameras.examine(Notes("Cameras"), situation)}


def test_a_machine_without_a_camera_is_told_so_by_a_real_trial(
    situation: Callable[..., Situation],
) -> None:
    found = examine(situation(source="pattern"))
    assert found
    assert all(finding.state is not State.FAULT for finding in found.values())


def test_a_camera_is_opened_and_its_rate_is_counted() -> None:
    with present(Cam=FakeDevice(width=64, height=48)):
        told = camera_trial.measure(0, FrameSize(64, 48), 30.0)
    assert (told["width"], told["height"]) == (64, 48)
    # The fake gives a picture every two milliseconds or so, whatever it promises.
    assert told["fps"] > 50
    assert told["promised_fps"] == 30


def test_a_good_camera_and_a_busy_one(situation: Callable[..., Situation]) -> None:
    with present(Good=FakeDevice(), Busy=FakeDevice(busy=True)):
        found = examine(situation())
    good, busy = found["camera 0 “Good”"], found["camera 1 “Busy”"]
    assert good.state is State.OK
    assert "gives 64x48 at" in good.seen
    assert "scaled to 1280x720" in good.seen
    assert busy.state is State.WARNING
    assert "taken over" in busy.seen


def test_a_camera_in_the_configuration_that_is_not_there(
    situation: Callable[..., Situation],
) -> None:
    with present(Good=FakeDevice()):
        found = examine(situation(source="camera:Absent"))
    assert found["source"].state is State.FAULT
    assert "no camera “Absent”" in found["source"].seen
    assert "Good" in found["source"].remedy


def test_a_source_that_cannot_be_read(situation: Callable[..., Situation]) -> None:
    with present(Good=FakeDevice()):
        found = examine(situation(source="kamera"))
    assert found["source"].state is State.FAULT
    assert found["camera 0 “Good”"].state is State.OK


def test_no_camera_matters_only_where_one_is_wanted(situation: Callable[..., Situation]) -> None:
    with present():
        assert examine(situation())["cameras"].state is State.WARNING
        assert examine(situation(source="pattern"))["cameras"].state is State.OK
        assert examine(situation(source="camera:X"))["source"].state is State.FAULT


def test_on_air_no_camera_is_opened(situation: Callable[..., Situation]) -> None:
    device, other = FakeDevice(), FakeDevice()
    holder = Holder(os.getpid(), 0.0)
    on_air = {f"camera {info(0, 'Ours').path}": holder}
    with present(Ours=device, Other=other) as asked:
        found = examine(situation(on_air=on_air))
    assert f"process {os.getpid()}" in found["camera 0 “Ours”"].seen
    assert "not opened" in found["camera 1 “Other”"].seen
    assert [words[0] for words in asked] == ["list"]
    assert (device.opened, other.opened) == (0, 0)


def test_a_driver_that_hangs_is_a_fault(
    situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    with present(Bad=FakeDevice()):
        inner = cameras.ask

        def ask(module: str, *arguments: str, seconds: float) -> dict[str, Any]:
            if arguments[0] == "measure":
                raise WorkerError("gave no answer within 7 s")
            return inner(module, *arguments, seconds=seconds)

        monkeypatch.setattr(cameras, "ask", ask)
        found = examine(situation())["camera 0 “Bad”"]
    assert found.state is State.FAULT
    assert "no answer" in found.seen


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({}, State.OK, "1280x720 at 29.9 fps"),
        ({"fps": 15.0}, State.WARNING, "in the dark"),
        ({"fps": 5.0, "promised_fps": 5.0}, State.WARNING, "no 30 fps at that size"),
        ({"fps": None}, State.FAULT, "no moving picture"),
    ],
)
def test_what_a_measurement_means(
    change: dict[str, object], state: State, words: str, notes: Notes
) -> None:
    found = cameras.judge(notes, "camera 0", 0, {**RESULT, **change}, "1280x720", 30.0)
    assert found.state is state
    assert words in found.seen + found.remedy
