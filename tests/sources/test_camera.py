"""Cameras that are missing, busy, unplugged, stuck and damaged."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

import cv2
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceLostError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.listing import Listing
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sources import camera as camera_module
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.camera import CameraSource, find_camera
from tests.fakes.camera import FakeDevice, fake_cameras, info


def next_frame(source: CameraSource) -> Frame:
    for _ in range(50):
        frame = source.read(0.2)
        if frame is not None:
            return frame
    raise AssertionError("no frame came")


def until_lost(source: CameraSource) -> SourceLostError:
    for _ in range(50):
        try:
            source.read(0.2)
        except SourceLostError as error:
            return error
    raise AssertionError("it was not lost")


def test_mjpg_size_and_rate_are_asked_for_and_what_was_got_is_told() -> None:
    device = FakeDevice(width=320, height=240)
    with fake_cameras(Webcam=device):
        source = CameraSource("", SourceOptions(frame_size=FrameSize(1280, 720), fps=60))
        with source:
            told = source.open()
    assert told.name == "Webcam"
    assert told.frame_size == FrameSize(320, 240)
    assert told.fps == 30
    assert "asked for 1280x720 at 60 fps MJPG" in told.detail
    assert "got 320x240 at 30 fps MJPG by FAKE" in told.detail
    assert device.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert device.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert device.asked[cv2.CAP_PROP_FPS] == 60


def test_the_picture_is_rgb() -> None:
    with fake_cameras(Webcam=FakeDevice()), CameraSource("", SourceOptions()) as source:
        source.open()
        assert next_frame(source).pixels[0, 0].tolist() == [50, 100, 200]


def test_only_the_newest_picture_is_given_and_the_gap_shows() -> None:
    device = FakeDevice()
    with fake_cameras(Webcam=device), CameraSource("", SourceOptions()) as source:
        source.open()
        first = next_frame(source).sequence
        seen = device.pictures
        while device.pictures < seen + 10:
            device.tick.wait(0.001)
        assert next_frame(source).sequence - first >= 9


def test_pictures_reuse_their_memory() -> None:
    device = FakeDevice()
    with fake_cameras(Webcam=device), CameraSource("", SourceOptions()) as source:
        source.open()
        places = {next_frame(source).pixels.ctypes.data for _ in range(20)}
    assert len(places) == 1
    assert device.pictures >= 20
    assert device.allocated <= 4


@pytest.mark.parametrize("target", ["1", "USB camera", "usb CAMERA", "/dev/fake1", "usb"])
def test_a_camera_goes_by_index_name_part_of_it_or_path(target: str) -> None:
    with fake_cameras(Built_in=FakeDevice(), USB_camera=FakeDevice()):
        assert find_camera(target).name == "USB camera"


def test_the_whole_name_goes_before_a_part() -> None:
    with fake_cameras(Cam_two=FakeDevice(), Cam=FakeDevice()):
        assert find_camera("cam").name == "Cam"


def test_the_first_camera_is_never_one_that_a_program_feeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = Listing([info(0, "Loopback", is_virtual=True), info(1, "Webcam")])
    monkeypatch.setattr(camera_module, "list_cameras", lambda: both)
    assert find_camera("").name == "Webcam"
    assert find_camera("Loopback").index == 0


@pytest.mark.parametrize("target", ["7", "Nikon"])
def test_an_unknown_camera_may_still_come(target: str) -> None:
    with fake_cameras(Webcam=FakeDevice()), pytest.raises(SourceLostError) as caught:
        CameraSource(target, SourceOptions()).open()
    assert target in caught.value.message
    assert "0 “Webcam”" in caught.value.remedy


def test_no_camera_at_all() -> None:
    with fake_cameras(), pytest.raises(SourceLostError, match="there is no camera"):
        CameraSource("", SourceOptions()).open()


def test_unplugged_and_back_again() -> None:
    device = FakeDevice()
    with fake_cameras(Webcam=device), CameraSource("Webcam", SourceOptions()) as source:
        source.open()
        before = next_frame(source).sequence
        device.plugged = False
        assert "Webcam" in until_lost(source).message
        source.close()
        with pytest.raises(SourceLostError):
            source.open()
        device.plugged = True
        source.open()
        assert next_frame(source).sequence > before
    assert device.opened == device.released == 2


def test_a_camera_that_another_program_uses() -> None:
    device = FakeDevice(busy=True)
    with fake_cameras(Webcam=device), pytest.raises(SourceLostError, match="Webcam") as caught:
        CameraSource("", SourceOptions()).open()
    assert "close other programs" in caught.value.remedy
    assert device.released == 1


def test_a_camera_that_another_daemon_uses() -> None:
    lock = ResourceLock.take("camera /dev/fake0")
    with fake_cameras(Webcam=FakeDevice()):
        with pytest.raises(SourceLostError, match="is held by obs-stylizer, process"):
            CameraSource("", SourceOptions()).open()
        lock.release()
        with CameraSource("", SourceOptions()) as source:
            source.open()


def test_only_damaged_pictures() -> None:
    with (
        fake_cameras(Webcam=FakeDevice(damaged=True)),
        pytest.raises(SourceLostError, match="damaged"),
    ):
        CameraSource("", SourceOptions()).open()


def test_a_stalled_camera_is_lost_after_five_seconds() -> None:
    device = FakeDevice()
    clock = ManualClock()
    with fake_cameras(Webcam=device), CameraSource("", SourceOptions(clock=clock)) as source:
        source.open()
        device.blocked.set()
        for _ in range(20):
            if source.read(0.01) is None:
                break
        assert source.read(0.01) is None
        clock.advance(5.1)
        with pytest.raises(SourceLostError, match="no picture for 5 seconds"):
            source.read(0.01)
        device.freed.set()


def test_reading_and_closing_never_wait_for_the_driver(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(camera_module, "_STOP_SECONDS", 0.05)
    device = FakeDevice()
    with fake_cameras(Webcam=device):
        source = CameraSource("", SourceOptions())
        source.open()
        device.blocked.set()
        began = monotonic()
        while source.read(0.05) is not None:
            pass
        source.close()
        assert monotonic() - began < 2
        assert "left to its driver" in caplog.text
        with pytest.raises(SourceLostError, match="hangs in its driver"):
            source.open()
        # The driver comes to: the thread lets go of the device, and it can be opened again.
        device.blocked.clear()
        device.freed.set()
        _eventually(lambda: device.released == 1)
        with source:
            source.open()
            next_frame(source)


def test_each_attempt_at_a_stuck_camera_is_another_source_and_no_other_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(camera_module, "_STOP_SECONDS", 0.05)
    monkeypatch.setattr(camera_module, "_FIRST_FRAME_SECONDS", 0.05)
    device, other = FakeDevice(), FakeDevice()
    device.blocked.set()

    def readers() -> int:
        return sum(thread.name == "camera" for thread in threading.enumerate())

    before = readers()
    with fake_cameras(Webcam=device, Other=other):
        with pytest.raises(SourceLostError, match="gave no picture in"):
            CameraSource("Webcam", SourceOptions()).open()
        for _ in range(5):
            with pytest.raises(SourceLostError, match="Webcam hangs in its driver"):
                CameraSource("Webcam", SourceOptions()).open()
        assert readers() == before + 1
        assert device.opened == 1
        monkeypatch.setattr(camera_module, "_FIRST_FRAME_SECONDS", 10)
        with CameraSource("Other", SourceOptions()) as source:
            source.open()
        device.blocked.clear()
        device.freed.set()
        _eventually(lambda: readers() == before)
        with CameraSource("Webcam", SourceOptions()) as source:
            source.open()


def test_a_camera_that_never_shows_its_first_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "_FIRST_FRAME_SECONDS", 0.05)
    monkeypatch.setattr(camera_module, "_STOP_SECONDS", 0.05)
    device = FakeDevice()
    device.blocked.set()
    with fake_cameras(Webcam=device), pytest.raises(SourceLostError, match="gave no picture in"):
        CameraSource("", SourceOptions()).open()


def test_a_size_that_changes_in_the_middle() -> None:
    device = FakeDevice(width=64, height=48)
    with fake_cameras(Webcam=device), CameraSource("", SourceOptions()) as source:
        source.open()
        next_frame(source)
        device.width, device.height = 32, 24
        for _ in range(20):
            frame = next_frame(source)
        assert frame.size == FrameSize(32, 24)


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline, "it did not happen"
