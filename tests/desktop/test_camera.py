"""A camera in a real PipeWire: given by the sink, read by the source and by other programs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import BusyError, SinkLostError, SourceLostError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.pipewire.connection import Connection
from obs_stylizer.pipewire.formats import VideoFormat
from obs_stylizer.pipewire.reader import NodeReader
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.listing import list_pipewire_cameras as list_own_cameras
from obs_stylizer.sinks.pipewire_camera import PipewireCameraSink
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.listing import list_pipewire_cameras
from obs_stylizer.sources.pipewire_camera import PipewireCameraSource
from tests.contracts.sink_contract import SizedSinkContract
from tests.fakes.wayland.desktop import WaylandDesktop, wait_for

SIZE = FrameSize(320, 180)
FORM = SinkFormat(SIZE, 30)
RED, GREEN = (200, 40, 40), (40, 200, 40)


def picture() -> Pixels:
    pixels = np.empty(SIZE.shape, np.uint8)
    pixels[:, : SIZE.width // 2], pixels[:, SIZE.width // 2 :] = RED, GREEN
    return pixels


class Feed:
    """Sends the same picture to a sink, thirty times a second."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._ending = threading.Event()
        self.errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        self._thread.join(5)

    def _run(self) -> None:
        frame = Frame(picture(), 0, 0.0)
        try:
            while not self._ending.wait(1 / 30):
                self._sink.send(frame, repeated=False)
        except Exception as error:
            self.errors.append(error)


@pytest.fixture
def sink(pipewire: WaylandDesktop) -> Iterator[PipewireCameraSink]:
    with PipewireCameraSink() as made:
        made.open(FORM)
        yield made


@pytest.fixture
def fed(sink: PipewireCameraSink) -> Iterator[PipewireCameraSink]:
    with Feed(sink) as feed:
        yield sink
        assert not feed.errors


def reading(target: str = "obs-stylizer") -> PipewireCameraSource:
    return PipewireCameraSource(target, SourceOptions(frame_size=SIZE, fps=30))


class TestPipewireCameraSink(SizedSinkContract):
    @pytest.fixture(autouse=True)
    def _running(self, pipewire: WaylandDesktop) -> None:
        del pipewire

    def make(self, folder: object, clock: ManualClock) -> Sink:
        return PipewireCameraSink()


def test_what_is_sent_is_read(fed: PipewireCameraSink) -> None:
    with reading() as source:
        told = source.open()
        assert (told.name, told.frame_size, told.fps) == ("obs-stylizer", SIZE, 30)
        assert "YUY2 by PipeWire" in told.detail
        frame = next(filter(None, (source.read(1) for _ in range(20))))
        left, right = frame.pixels[90, [40, 280]].astype(int)
        assert np.abs(left - RED).max() <= 4
        assert np.abs(right - GREEN).max() <= 4


def test_it_knows_whether_somebody_looks(fed: PipewireCameraSink) -> None:
    assert fed.watched is False
    with reading() as source:
        source.open()
        assert fed.watched is True
    wait_for("nobody", lambda: not fed.watched, 5)


def test_several_read_at_once(fed: PipewireCameraSink) -> None:
    with reading() as first, reading() as second:
        first.open()
        second.open()
        first.close()
        assert any(second.read(1) for _ in range(20))
        assert fed.watched


def test_a_reader_that_is_killed(fed: PipewireCameraSink) -> None:
    gst = gstreamer(fed, "num-buffers=100000")
    wait_for("GStreamer", lambda: fed.watched)
    gst.kill()
    gst.wait()
    wait_for("nobody", lambda: not fed.watched, 5)


def test_gstreamer_reads_it(fed: PipewireCameraSink) -> None:
    gst = gstreamer(fed, "num-buffers=10")
    assert gst.wait(20) == 0


def test_a_reader_with_a_layout_that_is_not_given(fed: PipewireCameraSink) -> None:
    connection = Connection()
    reader = NodeReader(
        connection,
        target="obs-stylizer.obs-stylizer",
        formats=(VideoFormat.BGR,),
        size=SIZE,
        fps=30,
        role="Camera",
    )
    assert not reader.wait_for_format(1.5)
    assert not fed.watched
    reader.close()
    connection.close()
    with reading() as source:
        source.open()
        assert fed.watched


def test_two_of_one_name(sink: PipewireCameraSink) -> None:
    with pytest.raises(BusyError, match="PipeWire camera obs-stylizer") as caught:
        PipewireCameraSink().open(FORM)
    assert "--sink pipewire-camera:obs-stylizer-2" in caught.value.remedy
    with PipewireCameraSink("obs-stylizer-2") as second:
        second.open(FORM)
        names = [camera.name for camera in list_pipewire_cameras()]
        assert sorted(names) == ["obs-stylizer", "obs-stylizer-2"]


def test_lists(sink: PipewireCameraSink) -> None:
    (camera,) = list_pipewire_cameras()
    assert (camera.node, camera.is_virtual) == ("obs-stylizer.obs-stylizer", True)
    (own,) = list_own_cameras()
    assert own.backend.startswith("PipeWire ")
    assert own.in_use.startswith("obs-stylizer, process")


def test_a_camera_that_is_not_there(sink: PipewireCameraSink) -> None:
    with pytest.raises(SourceLostError, match="no PipeWire camera “webcam”") as caught:
        reading("webcam").open()
    assert "obs-stylizer.obs-stylizer" in caught.value.remedy


def test_reading_it_leaves_nothing_behind(fed: PipewireCameraSink) -> None:
    def once() -> None:
        with reading() as source:
            source.open()

        # The link's own descriptors go a moment later.
        wait_for("nobody", lambda: not fed.watched, 5)

    once()
    before = threading.active_count(), descriptors()
    for _ in range(20):
        once()
    wait_for("its own descriptors", lambda: descriptors() <= before[1], 5)
    assert threading.active_count() <= before[0]


def test_pipewire_that_ends_and_comes_back(
    pipewire: WaylandDesktop, sink: PipewireCameraSink
) -> None:
    with Feed(sink) as feed, reading() as source:
        source.open()
        pipewire.kill("pipewire", "wireplumber")
        with pytest.raises(SourceLostError):
            read_for_ever(source)
        wait_for("the loss", lambda: feed.errors)
        (error,) = feed.errors
        assert isinstance(error, SinkLostError)
        assert "PipeWire ended" in error.message
    with pytest.raises(SinkLostError, match="PipeWire does not run") as caught:
        sink.open(FORM)
    assert "systemctl --user start pipewire" in caught.value.remedy
    assert list_pipewire_cameras().reason.startswith("PipeWire does not run")
    pipewire.start("pipewire")
    pipewire.start("wireplumber")
    sink.open(FORM)
    with Feed(sink) as feed, reading() as source:
        wait_for_open(source)
        assert not feed.errors


def read_for_ever(source: PipewireCameraSource) -> None:
    while True:
        source.read(0.25)


def wait_for_open(source: PipewireCameraSource) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            source.open()
        except SourceLostError:
            assert time.monotonic() < until
            time.sleep(0.1)
        else:
            return


def gstreamer(sink: PipewireCameraSink, *options: str) -> subprocess.Popen[bytes]:
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer is not installed (apt install gstreamer1.0-pipewire)")
    assert sink._node is not None
    path = f"path={sink._node.node_id}"
    command = ["gst-launch-1.0", "-q", "pipewiresrc", path, *options]
    return subprocess.Popen([*command, "!", "video/x-raw", "!", "fakesink"])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
