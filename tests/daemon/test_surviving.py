"""Presets, drivers and helpers of Python's own that take processes down: the camera goes on."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from obs_stylizer.control.commands import ApplyPreset, ChangeSource, NextPreset, WarmPreset
from obs_stylizer.daemon import supervisor
from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.errors import ModelError, StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import WorkerSettings
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes import killer_presets
from tests.fakes.models import write_identity_model, write_invert_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:resource_tracker. process died:UserWarning"),
]

KILLERS = (
    killer_presets.KILLS_LOADING,
    killer_presets.HANGS_LOADING,
    killer_presets.KILLS_RUNNING,
    killer_presets.HANGS_RUNNING,
    killer_presets.FAILS_RUNNING,
)
LIMITS = WorkerSettings(hang_seconds=5.0, load_seconds=30.0)
SHORT = {
    killer_presets.HANGS_LOADING: WorkerSettings(hang_seconds=5.0, load_seconds=4.0),
    killer_presets.HANGS_RUNNING: WorkerSettings(hang_seconds=1.5, load_seconds=30.0),
}
"""Where a hang is waited for."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_invert_model(tmp_path / "invert.onnx")
    write_identity_model(tmp_path / "identity.onnx")
    for name, model in {"invert": "invert", **dict.fromkeys(KILLERS, "identity")}.items():
        (tmp_path / f"{name}.yaml").write_text(
            f"title: {name}\nmodel: ./{model}.onnx\nprocess_size: 64x36\ncrossfade_ms: 0\n", "utf-8"
        )
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((72, 128, 3), 50, np.uint8))
    return tmp_path


@contextmanager
def running(
    folder: Path, preset: str = "invert", limits: WorkerSettings = LIMITS
) -> Iterator[Daemon]:
    options = DaemonOptions(
        source=SourceSpec.parse(f"image:{folder / 'grey.png'}"),
        sinks=(SinkSpec.parse("null"),),
        preset=preset,
        size=FrameSize(128, 72),
        fps=30.0,
        session=SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1),
        preload=False,
        worker=limits,
    )
    with Daemon(options, PresetLibrary([folder])) as daemon:
        yield daemon


@pytest.fixture
def killers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "worker_main", killer_presets.worker_with_killers)


def until(condition: Callable[[], object], timeout: float = 40.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)


def level(daemon: Daemon) -> int:
    assert daemon.presenter is not None
    newest = daemon.presenter.newest
    return -1 if newest is None else int(np.median(newest.pixels))


def goes_on(daemon: Daemon) -> bool:
    """Whether fresh styled frames come."""
    before = daemon.mailbox.counters().styled
    until(lambda: daemon.mailbox.counters().styled > before + 3)
    return True


@pytest.mark.usefixtures("killers")
@pytest.mark.parametrize("name", KILLERS)
def test_preset_that_takes_two_workers_with_it_is_set_aside(
    folder: Path, name: str, log_errors: list[str]
) -> None:
    with running(folder, limits=SHORT.get(name, LIMITS)) as daemon:
        until(lambda: level(daemon) == 205)
        answer = daemon.controller.send(ApplyPreset(name))
        until(lambda: name in daemon.controller.on_air.quarantined)
        until(lambda: daemon.controller.on_air.preset == "invert" and level(daemon) == 205)
        assert goes_on(daemon)
        assert daemon.supervisor.restarts == 2
        if "loading" in name:
            with pytest.raises(ModelError, match=r"set aside|not on air within"):
                answer.result(5)
        status = daemon.controller.on_air.as_dict()
        assert status["trouble"] == f"the style {name} is set aside"
        assert set(daemon.controller.on_air.quarantined) == {name}
    assert len(log_errors) == 1
    assert f"preset {name} is set aside" in log_errors.pop()


@pytest.mark.usefixtures("killers")
def test_first_preset_that_kills_leaves_the_plain_picture(
    folder: Path, log_errors: list[str]
) -> None:
    with running(folder, killer_presets.KILLS_RUNNING) as daemon:
        until(lambda: killer_presets.KILLS_RUNNING in daemon.controller.on_air.quarantined)
        until(lambda: level(daemon) == 50)
        assert goes_on(daemon)
        assert daemon.controller.send(ApplyPreset("invert")).result(20).text == "preset invert"
        until(lambda: level(daemon) == 205)
    log_errors.clear()


@pytest.mark.usefixtures("killers")
def test_preset_loaded_ahead_that_kills_is_no_loop(folder: Path, log_errors: list[str]) -> None:
    name = killer_presets.KILLS_LOADING
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        for count in (1, 2):
            daemon.controller.send(WarmPreset(name)).result(5)
            until(lambda count=count: daemon.supervisor.restarts == count)
            until(lambda: daemon.controller.on_air.worker_trouble == "")
            assert goes_on(daemon)
        assert daemon.supervisor.restarts == 2
        with pytest.raises(StylizerError, match="set aside"):
            daemon.controller.send(WarmPreset(name)).result(5)
        assert daemon.controller.on_air.preset == "invert"
    log_errors.clear()


@pytest.mark.usefixtures("killers")
def test_changed_file_ends_the_quarantine(folder: Path, log_errors: list[str]) -> None:
    name = killer_presets.KILLS_LOADING
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        with pytest.raises(ModelError):
            daemon.controller.send(ApplyPreset(name)).result(30)
        assert name in daemon.controller.on_air.quarantined
        os.utime(folder / "identity.onnx")
        until(lambda: not daemon.controller.on_air.quarantined)
    log_errors.clear()


def test_preset_that_vanishes_gives_way_after_a_restart(folder: Path) -> None:
    with running(folder, killer_presets.KILLS_RUNNING) as daemon:
        # Without the killers these are presets like any other.
        until(lambda: level(daemon) == 50)
        daemon.controller.send(ApplyPreset("invert")).result(20)
        until(lambda: level(daemon) == 205)
        (folder / "invert.onnx").unlink()
        assert daemon.supervisor.pid is not None
        os.kill(daemon.supervisor.pid, signal.SIGTERM)
        until(lambda: level(daemon) == 50 and daemon.supervisor.restarts == 1)
        assert daemon.controller.on_air.preset == killer_presets.KILLS_RUNNING
        assert goes_on(daemon)


def test_slow_request_and_a_broken_one_after_it_are_both_answered(folder: Path) -> None:
    (folder / "broken.yaml").write_text("title: broken\nmodel: ./gone.onnx\n", "utf-8")
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        slow = daemon.controller.send(ApplyPreset(killer_presets.KILLS_RUNNING))
        broken = daemon.controller.send(ApplyPreset("broken"))
        assert slow.result(20).text in ("overtaken by a newer preset", "preset kills-running")
        with pytest.raises(ModelError, match="gone"):
            broken.result(20)
        shown = daemon.controller.on_air.preset
        names = daemon.library.names()
        following = names[(names.index(shown) + 1) % len(names)]
        if following == "broken":
            return
        assert daemon.controller.send(NextPreset()).result(20).text == f"preset {following}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has a fork server")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_fork_server_that_dies_or_hangs_is_replaced(folder: Path, name: str) -> None:
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        worker = daemon.supervisor.pid
        assert worker is not None
        os.kill(server, getattr(signal, name))
        assert goes_on(daemon)
        assert daemon.supervisor.pid == worker, "the worker is well"
        os.kill(worker, signal.SIGKILL)
        until(lambda: daemon.supervisor.pid not in (None, worker))
        assert goes_on(daemon)
        assert not psutil.pid_exists(worker) or zombie(worker)


def zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has a fork server")
def test_shared_memory_outlives_the_resource_tracker(folder: Path, log_errors: list[str]) -> None:
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        tracker = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
        os.kill(tracker, signal.SIGKILL)
        for count in (1, 2, 3):
            assert daemon.supervisor.pid is not None
            os.kill(daemon.supervisor.pid, signal.SIGKILL)
            until(lambda count=count: daemon.supervisor.restarts == count)
            until(lambda: daemon.supervisor.pid is not None)
            assert goes_on(daemon)
    # The preset was innocent, but who could know.
    log_errors.clear()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_every_child_killed_at_once(folder: Path) -> None:
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        old = daemon.supervisor.pid
        for child in psutil.Process().children(recursive=True):
            child.kill()
        until(lambda: daemon.supervisor.pid not in (None, old))
        assert goes_on(daemon)
        assert daemon.controller.send(ApplyPreset("invert")).result(20)


def test_preset_files_are_followed_while_somebody_asks_all_the_time(folder: Path) -> None:
    with running(folder) as daemon:
        until(lambda: level(daemon) == 205)
        path = folder / "invert.yaml"
        path.write_text(path.read_text("utf-8") + "strength: 0\n", "utf-8")
        end = time.perf_counter() + 20
        while level(daemon) != 50:
            assert time.perf_counter() < end, "nobody looked at the files"
            daemon.controller.send(ChangeSource(f"image:{folder / 'grey.png'}")).result(5)
            time.sleep(0.05)
