"""A real camera driver (vivid) and real v4l2loopback devices, on a machine that has them.

Run as root where vivid is /dev/video0 and v4l2loopback is /dev/video1 (exclusive_caps=1) and
/dev/video2 (exclusive_caps=0):

    modprobe vivid n_devs=1 node_types=0x1 vid_cap_nr=0 num_inputs=1 input_types=0
    modprobe v4l2loopback devices=2 video_nr=1,2 exclusive_caps=1,0
    python -m pytest -m hardware tests/hardware
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest

from obs_stylizer import v4l2
from obs_stylizer.errors import SinkLostError, SourceLostError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.listing import list_virtual_cameras
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.camera import CameraSource
from obs_stylizer.sources.listing import has_camera, list_cameras

pytestmark = pytest.mark.hardware

CAMERA, EXCLUSIVE, OPEN = "/dev/video0", "/dev/video1", "/dev/video2"
SIZE = FrameSize(320, 180)
FORM = SinkFormat(SIZE, 10)
DRIVER = Path("/sys/bus/platform/drivers/vivid")

# An emulated machine takes its time.
TIMEOUT = 120.0


@pytest.fixture(autouse=True, scope="module")
def needs_the_devices() -> None:
    try:
        drivers = {path: v4l2.query_path(path).driver for path in (CAMERA, EXCLUSIVE, OPEN)}
    except OSError as error:
        pytest.skip(f"not the machine for it: {error}")
    expected = {CAMERA: "vivid", EXCLUSIVE: v4l2.LOOPBACK_DRIVER, OPEN: v4l2.LOOPBACK_DRIVER}
    if drivers != expected:
        pytest.skip(f"not the machine for it: {drivers}")


@pytest.fixture
def camera() -> Iterator[CameraSource]:
    with CameraSource("", SourceOptions(frame_size=SIZE)) as source:
        yield source
    if not (DRIVER / "vivid.0").exists():
        (DRIVER / "bind").write_text("vivid.0")


def next_frame(source: CameraSource) -> Frame:
    deadline = monotonic() + TIMEOUT
    while monotonic() < deadline:
        frame = source.read(1.0)
        if frame is not None:
            return frame
    raise AssertionError("no frame came")


def opened(source: CameraSource) -> None:
    """Open it as the daemon does: again and again until it is there."""
    deadline = monotonic() + TIMEOUT
    while True:
        try:
            source.open()
        except SourceLostError:
            if monotonic() > deadline:
                raise
            sleep(0.5)
        else:
            return


def painted(colour: tuple[int, int, int], size: FrameSize = SIZE) -> Frame:
    pixels: Pixels = np.empty(size.shape, np.uint8)
    pixels[:] = colour
    return Frame(pixels, 0, 0.0)


READ = textwrap.dedent(
    """
    import json, sys, cv2
    capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_V4L2)
    print(json.dumps(capture.isOpened()), flush=True)
    for _ in range(int(sys.argv[2])):
        ok, picture = capture.read()
        print(json.dumps(ok and [picture.shape[1], picture.shape[0],
              *picture[20, 20, ::-1].tolist()]), flush=True)
    sys.stdin.read()
    """
)


class Reader:
    """Another program that shows a camera, through OpenCV; its frames as [width, height, RGB]."""

    def __init__(self, device: str, count: int) -> None:
        command = [sys.executable, "-c", READ, device, str(count)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def line(self) -> object:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


def seen_by(reader: Reader, sink: VirtualCameraSink, frame: Frame, count: int) -> list[object]:
    """Send until the other program has read ``count`` frames."""
    import threading

    lines: list[object] = []

    def collect() -> None:
        lines.extend(reader.line() for _ in range(count + 1))

    thread = threading.Thread(target=collect)
    thread.start()
    deadline = monotonic() + TIMEOUT
    while thread.is_alive() and monotonic() < deadline:
        sink.send(frame, repeated=False)
        thread.join(0.05)
    assert not thread.is_alive(), f"it saw only {lines}"
    assert lines[0] is True, "it could not open the camera"
    return lines[1:]


# The camera ------------------------------------------------------------------------------------


def test_the_camera_is_listed_and_the_loopbacks_are_none() -> None:
    cameras = {camera.path: camera for camera in list_cameras()}
    assert not cameras[CAMERA].is_virtual
    assert all(camera.is_virtual for path, camera in cameras.items() if path != CAMERA)
    assert has_camera()


def test_the_camera_shows_pictures(camera: CameraSource) -> None:
    told = camera.open()
    frames = [next_frame(camera) for _ in range(5)]
    print(told)
    assert told.frame_size == SIZE
    assert frames[-1].pixels.shape == SIZE.shape
    assert frames[-1].pixels.std() > 10
    assert [frame.sequence for frame in frames] == sorted({frame.sequence for frame in frames})


def test_unplugged_and_plugged_in_again(camera: CameraSource) -> None:
    camera.open()
    before = next_frame(camera).sequence
    (DRIVER / "unbind").write_text("vivid.0")
    began = monotonic()
    with pytest.raises(SourceLostError) as caught:  # noqa: PT012 - it may give some more
        while monotonic() - began < TIMEOUT:
            camera.read(0.5)
    print(f"lost after {monotonic() - began:.1f} s: {caught.value}")
    camera.close()
    with pytest.raises(SourceLostError):
        camera.open()
    (DRIVER / "bind").write_text("vivid.0")
    opened(camera)
    assert next_frame(camera).sequence > before


def test_a_camera_that_another_program_shows_is_named_with_it(camera: CameraSource) -> None:
    with Reader(CAMERA, 2) as reader:
        opened_it, *_ = [reader.line() for _ in range(3)]
        assert opened_it is True
        with pytest.raises(SourceLostError) as caught:
            camera.open()
    print(caught.value)
    assert str(reader.process.pid) in caught.value.message
    opened(camera)


# The virtual camera ----------------------------------------------------------------------------


def test_both_loopbacks_are_listed() -> None:
    cameras = list_virtual_cameras()
    assert [camera.device for camera in cameras] == [EXCLUSIVE, OPEN]
    assert [camera.in_use for camera in cameras] == ["", ""]


@pytest.mark.parametrize("device", [EXCLUSIVE, OPEN])
def test_another_program_sees_the_colours(device: str) -> None:
    with VirtualCameraSink(device) as sink:
        sink.open(FORM)
        sink.send(painted((40, 180, 60)), repeated=False)
        with Reader(device, 5) as reader:
            frames = seen_by(reader, sink, painted((40, 180, 60)), 5)
    for seen in frames:
        assert isinstance(seen, list)
        assert seen[:2] == [320, 180]
        assert seen[2:] == pytest.approx([40, 180, 60], abs=6)


def test_from_the_camera_to_another_program(camera: CameraSource) -> None:
    camera.open()
    with VirtualCameraSink(EXCLUSIVE) as sink:
        sink.open(FORM)
        sink.send(next_frame(camera), repeated=False)
        with Reader(EXCLUSIVE, 3) as reader:
            frames = seen_by(reader, sink, next_frame(camera), 3)
    assert all(isinstance(seen, list) and seen[:2] == [320, 180] for seen in frames)


def test_two_at_once() -> None:
    with VirtualCameraSink() as first, VirtualCameraSink() as second:
        assert EXCLUSIVE in first.open(FORM)
        assert OPEN in second.open(FORM)
        first.send(painted((200, 0, 0)), repeated=False)
        second.send(painted((0, 0, 200)), repeated=False)
        with Reader(EXCLUSIVE, 2) as reader:
            (_, red) = seen_by(reader, first, painted((200, 0, 0)), 2)
        with Reader(OPEN, 2) as reader:
            (_, blue) = seen_by(reader, second, painted((0, 0, 200)), 2)
    assert isinstance(red, list)
    assert isinstance(blue, list)
    assert red[2] > 150 > red[4]
    assert blue[4] > 150 > blue[2]


def test_it_is_opened_again_while_a_program_goes_on_reading() -> None:
    with VirtualCameraSink(EXCLUSIVE) as sink:
        sink.open(FORM)
        sink.send(painted((10, 10, 10)), repeated=False)
        with Reader(EXCLUSIVE, 6) as reader:
            seen_by(reader, sink, painted((10, 10, 10)), 2)
            sink.close()
            sink.open(FORM)
            for _ in range(20):
                sink.send(painted((250, 250, 250)), repeated=False)
            rest = []
            while len(rest) < 4:
                sink.send(painted((250, 250, 250)), repeated=False)
                rest.append(reader.line())
    assert isinstance(rest[-1], list)
    assert rest[-1][2] > 200


def test_another_size_while_a_program_reads_is_refused_with_its_name() -> None:
    with VirtualCameraSink(EXCLUSIVE) as sink:
        sink.open(FORM)
        sink.send(painted((10, 10, 10)), repeated=False)
        with Reader(EXCLUSIVE, 2) as reader:
            seen_by(reader, sink, painted((10, 10, 10)), 2)
            sink.close()
            with pytest.raises(SinkLostError) as caught:
                sink.open(SinkFormat(FrameSize(640, 360), 10))
            print(caught.value)
            assert "320x180" in caught.value.message
            assert str(reader.process.pid) in caught.value.message
        sink.open(SinkFormat(FrameSize(640, 360), 10))
        sink.send(painted((10, 10, 10), FrameSize(640, 360)), repeated=False)


SEND = textwrap.dedent(
    """
    import sys, numpy as np, pyvirtualcam
    with pyvirtualcam.Camera(320, 180, 10, device=sys.argv[1]) as camera:
        camera.send(np.zeros((180, 320, 3), np.uint8))
        print("sent", flush=True)
        sys.stdin.read()
    """
)


def test_another_program_that_sends_is_named_and_what_it_leaves_is_usable() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SEND, EXCLUSIVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == b"sent\n"
        with pytest.raises(SinkLostError) as caught:
            VirtualCameraSink(EXCLUSIVE).open(FORM)
        with VirtualCameraSink() as sink:
            assert OPEN in sink.open(FORM)
        process.kill()
        process.wait()
    print(caught.value)
    assert str(process.pid) in caught.value.message
    # It wrote without announcing itself, so the driver withholds the output from now on.
    print(v4l2.query_path(EXCLUSIVE))
    with VirtualCameraSink(EXCLUSIVE) as sink:
        sink.open(FORM)
        sink.send(painted((1, 2, 3)), repeated=False)
    assert v4l2.query_path(EXCLUSIVE).can_output


def test_no_descriptor_is_left_open() -> None:
    def count() -> int:
        return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))

    before = count()
    for _ in range(3):
        with VirtualCameraSink(OPEN) as sink:
            sink.open(FORM)
            sink.send(painted((1, 2, 3)), repeated=False)
    assert count() == before
