"""A real camera driver and real v4l2loopback devices, set up as tests/hardware says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from obs_stylizer import v4l2
from obs_stylizer.doctor import cameras, virtual_cameras
from obs_stylizer.doctor.findings import Notes, State
from obs_stylizer.doctor.situation import Situation

pytestmark = [pytest.mark.hardware, pytest.mark.timeout(900)]

CAMERA, LOOPBACKS = "/dev/video0", ("/dev/video1", "/dev/video2")

READ = """
import cv2
camera = cv2.VideoCapture(0, cv2.CAP_V4L2)
print(camera.read()[0], flush=True)
while camera.grab():
    pass
"""


@pytest.fixture(autouse=True)
def longer_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated machine takes its time."""
    try:
        drivers = {path: v4l2.query_path(path).driver for path in (CAMERA, *LOOPBACKS)}
    except OSError as error:
        pytest.skip(f"not the machine for it: {error}")
    if drivers.pop(CAMERA) != "vivid" or set(drivers.values()) != {v4l2.LOOPBACK_DRIVER}:
        pytest.skip(f"not the machine for it: {drivers}")
    monkeypatch.setattr(cameras, "_LIST_SECONDS", 200.0)
    monkeypatch.setattr(cameras, "_MEASURE_SECONDS", 200.0)


@pytest.fixture
def reader() -> Iterator[int]:
    """The process of another program that reads the camera."""
    with subprocess.Popen([sys.executable, "-c", READ], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield process.pid
        process.kill()


def test_a_camera_gives_what_was_measured(
    notes: Notes, situation: Callable[..., Situation]
) -> None:
    (found,) = cameras.examine(notes, situation(size="320x180", fps=5))
    assert found.state in (State.OK, State.WARNING)
    assert "gives 320x180 at " in found.seen


def test_a_camera_that_another_program_reads_is_busy(
    notes: Notes, situation: Callable[..., Situation], reader: int
) -> None:
    (found,) = cameras.examine(notes, situation(size="320x180", fps=5))
    assert found.state is State.WARNING
    assert f"in use by python (process {reader})" in found.seen
    assert found.remedy == "close that program"


def test_two_loopback_devices_are_enough_for_us_and_obs(
    notes: Notes, situation: Callable[..., Situation]
) -> None:
    found = list(virtual_cameras.examine(notes, situation()))
    assert [finding.state for finding in found[:3]] == [State.OK] * 3
    # The second was loaded without exclusive_caps, and nothing loads the module at boot.
    assert {finding.name for finding in found[3:]} <= {"exclusive_caps", "after a restart"}
