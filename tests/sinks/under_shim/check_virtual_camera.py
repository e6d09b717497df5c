"""A virtual camera that is missing, taken, forbidden, that vanishes and comes back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import BusyError, SinkLostError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.listing import list_virtual_cameras
from obs_stylizer.sinks.v4l2_output import DirectOutput
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink
from tests.fakes.shim import ShimDevice

SIZE = FrameSize(64, 48)
FORM = SinkFormat(SIZE, 30)


def frame(level: int) -> Frame:
    return Frame(np.full(SIZE.shape, level, np.uint8), 0, 0.0)


def lost(device: str = "", form: SinkFormat = FORM) -> SinkLostError:
    with pytest.raises(SinkLostError) as caught:
        VirtualCameraSink(device).open(form)
    return caught.value


def test_every_frame_arrives_with_its_colours(device: ShimDevice) -> None:
    picture = np.zeros(SIZE.shape, np.uint8)
    picture[:, :32] = (200, 30, 60)
    with VirtualCameraSink() as sink:
        where = sink.open(FORM)
        for number in range(4):
            sink.send(Frame(picture, number, 0.0), repeated=number == 2)
    assert device.device in where
    frames = device.frames(64, 48)
    assert len(frames) == 4
    for written in frames:
        shown = cv2.cvtColor(written, cv2.COLOR_YUV2RGB_I420)
        assert shown[20, 10].tolist() == pytest.approx([200, 30, 60], abs=4)
        assert shown[20, 50].tolist() == pytest.approx([0, 0, 0], abs=4)


def test_a_repeated_frame_is_the_last_one_again(device: ShimDevice) -> None:
    with VirtualCameraSink() as sink:
        sink.open(FORM)
        sink.send(frame(50), repeated=False)
        sink.send(frame(50), repeated=True)
        sink.send(frame(90), repeated=False)
    first, again, other = device.frames(64, 48)
    assert np.array_equal(first, again)
    assert not np.array_equal(again, other)


def test_a_device_by_its_name(devices: tuple[ShimDevice, ...]) -> None:
    for wanted in ("/dev/video41", "shim video41"):
        with VirtualCameraSink(wanted) as sink:
            assert "/dev/video41" in sink.open(FORM)


def test_it_vanishes_and_comes_back(device: ShimDevice) -> None:
    with VirtualCameraSink() as sink:
        sink.open(FORM)
        sink.send(frame(10), repeated=False)
        device.set("gone")
        with pytest.raises(SinkLostError, match="takes no frames any more") as caught:
            sink.send(frame(20), repeated=False)
        assert device.device in caught.value.message
        sink.close()
        with pytest.raises(SinkLostError):
            sink.open(FORM)
        device.unset("gone")
        sink.open(FORM)
        sink.send(frame(30), repeated=False)
    assert len(device.frames(64, 48)) == 2


def test_somebody_gives_it_another_format(device: ShimDevice) -> None:
    clock = ManualClock()
    with VirtualCameraSink("", clock) as sink:
        sink.open(FORM)
        device.set("format", "640 480 YUYV")
        sink.send(frame(10), repeated=False)
        clock.advance(1.1)
        with pytest.raises(SinkLostError, match="held at 640x480 YUYV"):
            sink.send(frame(10), repeated=False)


def test_a_format_that_others_hold_is_noticed_at_once(device: ShimDevice) -> None:
    device.set("format", "640 480 YU12")
    error = lost()
    assert "held at 640x480 YU12" in error.message
    assert "close the programs" in error.remedy
    device.unset("format")
    with VirtualCameraSink() as sink:
        sink.open(FORM)


def test_another_program_sends_to_it(device: ShimDevice) -> None:
    device.set("taken")
    error = lost()
    assert f"{device.device} is held by another program" in error.message
    assert "close that program" in error.remedy


def test_one_that_lost_its_output_is_brought_back(device: ShimDevice) -> None:
    device.set("stuck")
    (listed,) = list_virtual_cameras()
    assert listed.in_use == ""
    with VirtualCameraSink() as sink:
        sink.open(FORM)
        sink.send(frame(10), repeated=False)
    assert len(device.frames(64, 48)) == 1


def test_the_next_free_one_is_taken(devices: tuple[ShimDevice, ...]) -> None:
    devices[0].set("taken")
    with VirtualCameraSink() as sink:
        assert "/dev/video41" in sink.open(FORM)


def test_one_that_is_forbidden_hides_no_other(devices: tuple[ShimDevice, ...]) -> None:
    devices[0].set("denied")
    with VirtualCameraSink() as sink:
        assert "/dev/video41" in sink.open(FORM)


def test_forbidden(devices: tuple[ShimDevice, ...]) -> None:
    for device in devices:
        device.set("denied")
    for error in (lost(), lost("/dev/video40")):
        assert "group video" in error.remedy
    assert "group video" in list_virtual_cameras().reason


def test_none_at_all(devices: tuple[ShimDevice, ...]) -> None:
    for device in devices:
        device.set("gone")
    error = lost()
    assert "there is no virtual camera" in error.message
    assert "modprobe v4l2loopback" in error.remedy
    cameras = list_virtual_cameras()
    assert cameras == []
    assert "modprobe v4l2loopback" in cameras.reason


def test_a_device_that_does_not_exist(devices: tuple[ShimDevice, ...]) -> None:
    error = lost("/dev/video99")
    assert "/dev/video99" in error.message
    assert "/dev/video40, /dev/video41" in error.remedy


def test_something_that_is_no_video_device(device: ShimDevice) -> None:
    assert "is no video device" in lost("/dev/null").message


def test_a_second_daemon_is_refused_and_told_of_the_first(device: ShimDevice) -> None:
    with VirtualCameraSink() as first:
        first.open(FORM)
        for wanted in ("", device.device):
            with pytest.raises(BusyError, match=f"obs-stylizer, process {os.getpid()}, since"):
                VirtualCameraSink(wanted).open(FORM)
        (listed,) = list_virtual_cameras()
        assert str(os.getpid()) in listed.in_use
        first.send(frame(1), repeated=False)
    with VirtualCameraSink() as second:
        second.open(FORM)


def test_two_daemons_on_two_devices(devices: tuple[ShimDevice, ...]) -> None:
    with VirtualCameraSink() as first, VirtualCameraSink() as second:
        assert "/dev/video40" in first.open(FORM)
        assert "/dev/video41" in second.open(FORM)
        first.send(frame(10), repeated=False)
        second.send(frame(200), repeated=False)
    assert [len(device.frames(64, 48)) for device in devices] == [1, 1]


def test_no_descriptor_is_left_open(device: ShimDevice) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with VirtualCameraSink() as sink:
            sink.open(FORM)
            sink.send(frame(1), repeated=False)
        device.set("format", "640 480 YUYV")
        lost()
        device.unset("format")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class OpenedCamera:
    """As much of pyvirtualcam's camera as matters: it holds the device."""

    def __init__(self, device: str) -> None:
        self.descriptor = os.open(device, os.O_RDWR)

    def close(self) -> None:
        os.close(self.descriptor)


def test_its_descriptor_is_told_from_all_others(devices: tuple[ShimDevice, ...]) -> None:
    """Others are opened at the same moment, of this device and of another one."""
    devices[0].set("format", "64 48 YU12")
    device, other = (device.device for device in devices)
    kept: list[int] = []

    def open_with_others() -> OpenedCamera:
        camera = OpenedCamera(device)
        kept.append(os.open(other, os.O_RDWR))
        looking = os.open(device, os.O_RDWR)
        threading.Timer(0.1, os.close, [looking]).start()
        return camera

    camera, output = DirectOutput.open(device, SIZE, open_with_others)
    assert output._descriptor == camera.descriptor
    output.write(np.zeros((72, 64), np.uint8))
    assert len(devices[0].frames(64, 48)) == 1
    assert len(devices[1].frames(64, 48)) == 0
    camera.close()
    os.close(kept[0])


def test_a_descriptor_that_is_there_before_is_not_taken_for_it(device: ShimDevice) -> None:
    device.set("format", "64 48 YU12")
    looking = os.open(device.device, os.O_RDWR)
    threading.Timer(0.1, os.close, [looking]).start()
    camera, output = DirectOutput.open(device.device, SIZE, lambda: OpenedCamera(device.device))
    assert output._descriptor == camera.descriptor
    camera.close()
    stays = os.open(device.device, os.O_RDWR)
    with pytest.raises(SinkLostError, match="held open by this program"):
        DirectOutput.open(device.device, SIZE, lambda: OpenedCamera(device.device))
    os.close(stays)


def test_one_that_closes_at_once_is_told(device: ShimDevice) -> None:
    def open_and_close() -> OpenedCamera:
        camera = OpenedCamera(device.device)
        camera.close()
        camera.descriptor = os.open(os.devnull, os.O_RDWR)
        return camera

    with pytest.raises(SinkLostError, match="open 0 times"):
        DirectOutput.open(device.device, SIZE, open_and_close)


def test_the_list(devices: tuple[ShimDevice, ...]) -> None:
    devices[1].set("taken")
    first, second = list_virtual_cameras()
    assert (first.device, first.name, first.in_use) == ("/dev/video40", "Shim video40", "")
    assert second.in_use == "another program"
