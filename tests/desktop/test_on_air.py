"""A whole daemon on a desktop: the screen comes in, a camera goes out, and parts come and go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import psutil
import pytest

from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.errors import SourceLostError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.pipewire_camera import PipewireCameraSource
from obs_stylizer.sources.spec import SourceSpec
from tests.desktop.conftest import Painter
from tests.fakes.models import write_identity_model
from tests.fakes.wayland.desktop import WaylandDesktop

SIZE = FrameSize(320, 180)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture(autouse=True, scope="module")
def workers_of_this_desktop(desktop: WaylandDesktop) -> Iterator[None]:
    """Let the process that starts workers have this desktop's environment, and no later one."""
    forkserver._forkserver._stop()
    yield
    forkserver._forkserver._stop()


@contextmanager
def on_air(folder: Path, **changes: object) -> Iterator[Daemon]:
    write_identity_model(folder / "identity.onnx")
    (folder / "plain.yaml").write_text(
        "title: plain\nmodel: ./identity.onnx\nprocess_size: 64x36\ncrossfade_ms: 0\n", "utf-8"
    )
    values: dict[str, object] = {
        "source": SourceSpec.parse("screen"),
        "sinks": (SinkSpec.parse("pipewire-camera"),),
        "preset": "plain",
        "size": SIZE,
        "fps": 30.0,
        "session": SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1),
        "preload": False,
        **changes,
    }
    with Daemon(DaemonOptions(**values), PresetLibrary([folder])) as daemon:  # type: ignore[arg-type]
        yield daemon


def until(condition: Callable[[], object], timeout: float = 30.0) -> float:
    """Wait for something that another process does; return how many seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + timeout, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - began


def shows(daemon: Daemon, picture: str) -> bool:
    return daemon.presenter is not None and daemon.presenter.picture == picture


def reading() -> PipewireCameraSource:
    return PipewireCameraSource("obs-stylizer", SourceOptions(frame_size=SIZE, fps=30))


def read_until(source: PipewireCameraSource, wanted: Callable[[np.ndarray], object]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            frame = source.read(0.25)
        except SourceLostError:
            open_at_last(source)
            continue
        if frame is not None and wanted(frame.pixels):
            return
    raise AssertionError("no such picture came")


def open_at_last(source: PipewireCameraSource) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            source.open()
        except SourceLostError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def is_painted(pixels: np.ndarray) -> bool:
    left, right = pixels[100, [80, 240]].astype(int)
    return left[0] > left[1] + 60 and right[1] > right[0] + 60


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("portal", marks=pytest.mark.slow),
        pytest.param("pipewire", marks=pytest.mark.slow),
        "sway",
    ],
)
def test_it_stays_on_air_while_a_part_is_away(
    desktop: WaylandDesktop, painter: Painter, tmp_path: Path, part: str
) -> None:
    parts = {
        "portal": ["portal"],
        "pipewire": ["pipewire", "wireplumber", "wlr"],
        "sway": ["sway", "proxy", "wlr"],
    }[part]
    painter.start()
    with on_air(tmp_path, standby_seconds=0.5) as daemon, reading() as source:
        open_at_last(source)
        read_until(source, is_painted)
        worker = daemon.supervisor.pid
        desktop.kill(*parts)
        painter.end()
        until(lambda: shows(daemon, "standby"))
        if part == "sway":
            # PipeWire is there, and so is the camera.
            read_until(source, lambda pixels: pixels.mean() < 90)
        for one in parts:
            desktop.start(one)
        os.environ.update(desktop.environment)
        painter.start()
        until(lambda: shows(daemon, "styled"))
        read_until(source, is_painted)
        assert daemon.supervisor.pid == worker


def test_it_sleeps_until_somebody_reads_the_camera(desktop: WaylandDesktop, tmp_path: Path) -> None:
    with on_air(tmp_path, source=SourceSpec.parse("pattern"), sleep_seconds=0.5) as daemon:
        for _ in range(2):
            until(lambda: shows(daemon, "asleep"))
            with reading() as source:
                source.open()
                until(lambda: shows(daemon, "styled"))


def test_the_screen_is_no_longer_shared_while_it_sleeps(
    desktop: WaylandDesktop, painter: Painter, tmp_path: Path
) -> None:
    painter.start()
    with on_air(tmp_path, sleep_seconds=0.5) as daemon:
        until(lambda: shows(daemon, "asleep"))
        with reading() as source:
            source.open()
            read_until(source, is_painted)
            assert daemon.supervisor.pid is not None
            worker = psutil.Process(daemon.supervisor.pid)
            awake = len(worker.net_connections("unix"))
        until(lambda: shows(daemon, "asleep"))
        until(lambda: len(worker.net_connections("unix")) < awake)
