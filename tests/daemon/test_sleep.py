"""Sleep: the source is closed while nobody watches, and whoever comes sees a picture soon."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import ChangeSource, GetStatus, Record
from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.daemon.sleep import Sleep
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec
from obs_stylizer.web.token import read_or_make_token
from tests.fakes.models import write_invert_model

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


class Watched:
    """Somebody who watches or not, and what was decided of it."""

    def __init__(self, seconds: float | None) -> None:
        self.now = True
        self.changes: list[bool] = []
        self.clock = ManualClock(10.0)
        self.sleep = Sleep(seconds, lambda: self.now, self.changes.append, self.clock)

    def after(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        self.sleep.check()
        return self.sleep.asleep


def test_it_sleeps_after_the_time_and_wakes_at_once() -> None:
    viewer = Watched(60)
    assert not viewer.after(1000)
    viewer.now = False
    assert not viewer.after(59.9)
    assert viewer.after(0.2)
    assert viewer.after(5)
    viewer.now = True
    assert not viewer.after(0)
    assert viewer.changes == [True, False]


def test_a_short_look_counts() -> None:
    viewer = Watched(60)
    viewer.now = False
    viewer.after(50)
    viewer.sleep.look()
    assert not viewer.after(0.05)
    assert not viewer.after(59)
    assert viewer.after(2)
    viewer.sleep.look()
    assert not viewer.after(0.05)


def test_off_never_sleeps() -> None:
    viewer = Watched(None)
    viewer.now = False
    assert not viewer.after(1e6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_invert_model(tmp_path / "invert.onnx")
    (tmp_path / "invert.yaml").write_text(
        "title: invert\nmodel: ./invert.onnx\nprocess_size: 64x36\ncrossfade_ms: 0\n", "utf-8"
    )
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((72, 128, 3), 50, np.uint8))
    return tmp_path


class Surface:
    """Keeps the control API that a daemon gives."""

    api: ControlApi

    def __call__(self, api: ControlApi) -> Surface:
        self.api = api
        return self

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextmanager
def on_air(folder: Path, *sinks: str, surface: Surface | None = None) -> Iterator[Daemon]:
    options = DaemonOptions(
        source=SourceSpec.parse("pattern"),
        sinks=tuple(map(SinkSpec.parse, sinks)),
        preset="invert",
        size=FrameSize(128, 72),
        fps=30.0,
        session=SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1),
        preload=False,
        sleep_seconds=0.5,
        recording=RecordingSettings(folder=str(folder / "shows")),
    )
    surfaces = [surface] if surface is not None else []
    with Daemon(options, PresetLibrary([folder]), control_surfaces=surfaces) as daemon:
        yield daemon


def until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Viewer:
    """Watches the stream until it is closed."""

    def __init__(self, port: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port))
        address = f"/stream.mjpg?token={read_or_make_token()}"
        request = f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        self._line.sendall(request.encode())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while self._line.recv(1 << 16):
                pass
        except OSError:
            pass

    def close(self) -> None:
        self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()


def captured(daemon: Daemon) -> int:
    return daemon.mailbox.counters().captured


def is_asleep(daemon: Daemon) -> bool:
    presenter = daemon.presenter
    return presenter is not None and presenter.picture == "asleep"


def test_the_stream_wakes_it_and_its_end_lets_it_sleep(folder: Path) -> None:
    port = free_port()
    with on_air(folder, f"http:{port}") as daemon:
        until(lambda: is_asleep(daemon))
        until(lambda: daemon.controller.on_air.source_state == "asleep")
        assert daemon.controller.on_air.asleep
        until(lambda: stands_still(daemon))
        viewer = Viewer(port)
        try:
            until(lambda: daemon.presenter and daemon.presenter.picture == "styled")
            # The picture is there before the controller has heard of it.
            until(lambda: daemon.controller.on_air.source_state == "open")
            assert not daemon.controller.on_air.asleep
        finally:
            viewer.close()
        until(lambda: is_asleep(daemon))


def stands_still(daemon: Daemon) -> bool:
    before = captured(daemon)
    time.sleep(0.4)
    return captured(daemon) == before


def test_what_is_measured_does_not_sleep(folder: Path) -> None:
    with on_air(folder, "null") as daemon:
        until(lambda: daemon.mailbox.counters().styled > 30)
        assert not daemon.controller.on_air.asleep


def test_a_recording_is_watched(folder: Path) -> None:
    with on_air(folder, f"http:{free_port()}") as daemon:
        until(lambda: is_asleep(daemon))
        daemon.controller.send(Record(True)).result(10)
        until(lambda: daemon.presenter and daemon.presenter.picture == "styled")
        daemon.controller.send(Record(False)).result(10)
        until(lambda: is_asleep(daemon))


def test_a_look_through_the_control_api_counts(folder: Path) -> None:
    surface = Surface()
    with on_air(folder, f"http:{free_port()}", surface=surface) as daemon:
        until(lambda: is_asleep(daemon))
        assert "asleep" in daemon.controller.send(GetStatus()).result(5).text
        until(surface.api.styled)
        assert not is_asleep(daemon)


def test_a_worker_that_dies_asleep_leaves_the_source_closed(folder: Path) -> None:
    port = free_port()
    with on_air(folder, f"http:{port}") as daemon:
        until(lambda: daemon.supervisor.state == "running")
        until(lambda: is_asleep(daemon))
        first = daemon.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: daemon.supervisor.pid not in (None, first))
        until(lambda: daemon.supervisor.state == "running")
        until(lambda: stands_still(daemon))
        assert is_asleep(daemon)
        viewer = Viewer(port)
        until(lambda: daemon.presenter and daemon.presenter.picture == "styled")
        viewer.close()


def test_another_source_waits_for_a_viewer(folder: Path) -> None:
    port = free_port()
    with on_air(folder, f"http:{port}") as daemon:
        until(lambda: is_asleep(daemon))
        daemon.controller.send(ChangeSource(f"image:{folder / 'grey.png'}")).result(5)
        time.sleep(0.3)
        assert is_asleep(daemon)
        viewer = Viewer(port)
        until(lambda: daemon.controller.on_air.source.startswith("image:"))
        viewer.close()
