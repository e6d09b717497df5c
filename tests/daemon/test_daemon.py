"""The whole live path with a tiny generator: it goes on air, and nothing takes it off."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from obs_stylizer.bench.clips import write_clip
from obs_stylizer.control.api import ControlApi
from obs_stylizer.control.commands import (
    ApplyPreset,
    ChangeSource,
    Record,
    SetBypass,
    SetFreeze,
    SetStrength,
    TakeSnapshot,
    WarmPreset,
)
from obs_stylizer.daemon import reporting, supervisor
from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.errors import (
    ModelError,
    PresetError,
    ProviderError,
    SinkError,
    SourceError,
    WorkerError,
)
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, RunsOn, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.frame_memory import open_memory
from obs_stylizer.realtime.statistics import Statistics
from obs_stylizer.settings import RecordingSettings, WorkerSettings
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes.dying_worker import dying_worker
from tests.fakes.models import (
    write_identity_model,
    write_invert_model,
    write_nan_model,
    write_slow_model,
)

SIZE = FrameSize(128, 72)
CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_invert_model(tmp_path / "invert.onnx")
    write_identity_model(tmp_path / "identity.onnx")
    for name in ("invert", "identity"):
        (tmp_path / f"{name}.yaml").write_text(
            f"title: {name}\nmodel: ./{name}.onnx\nprocess_size: 64x36\ncrossfade_ms: 0\n", "utf-8"
        )
    grey = np.full((72, 128, 3), 50, np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    return tmp_path


def options(folder: Path, **changes: object) -> DaemonOptions:
    values: dict[str, object] = {
        "source": SourceSpec.parse(f"image:{folder / 'grey.png'}"),
        "sinks": (SinkSpec.parse("null"),),
        "preset": "invert",
        "size": SIZE,
        "fps": 30.0,
        "session": CPU,
        "preload": False,
    }
    return DaemonOptions(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def on_air(folder: Path, **changes: object) -> Iterator[Daemon]:
    with Daemon(options(folder, **changes), PresetLibrary([folder])) as daemon:
        until(lambda: level(daemon) >= 0)
        yield daemon


def styled(daemon: Daemon) -> int:
    return daemon.mailbox.counters().styled


def until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Wait for something that another process does."""
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)


def level(daemon: Daemon) -> int:
    """Brightness of the newest styled picture that was sent, -1 before the first."""
    assert daemon.presenter is not None
    newest = daemon.presenter.newest
    return -1 if newest is None else int(np.median(newest.pixels))


def test_status_line_that_cannot_be_written_ends_nothing(
    folder: Path, log_errors: list[str]
) -> None:
    shown: list[int] = []

    def show(statistics: object) -> None:
        shown.append(1)
        raise UnicodeEncodeError("latin-1", "●", 0, 1, "ordinal not in range(256)")

    wanted = options(folder, duration=3.0)
    with Daemon(wanted, PresetLibrary([folder]), on_second=show) as daemon:
        assert daemon.wait(30), "the end is noticed all the same"
    assert len(shown) > 1
    assert len(log_errors) == 1
    log_errors.clear()


def test_goes_on_air_and_leaves_nothing_behind(folder: Path) -> None:
    children = set(psutil.Process().children(recursive=True))
    with on_air(folder, stats_file=folder / "stats.json") as daemon:
        name = daemon.mailbox.name
        until(lambda: (folder / "stats.json").exists())
        until(lambda: level(daemon) == 205)
        # Of a still picture, the generator makes no more than one a second.
        until(lambda: daemon.statistics().stages_ms["generate"] > 0)
        worker = daemon.supervisor.pid
    assert worker is not None
    assert not psutil.pid_exists(worker)
    left = set(psutil.Process().children(recursive=True)) - children
    # Two of Python's own stay until their parent ends: what tracks shared memory and what forks
    # workers. Nothing else may.
    own = ("resource_tracker", "forkserver")
    assert [c for c in left if not any(name in " ".join(c.cmdline()) for name in own)] == []
    with pytest.raises(WorkerError, match="is gone"):
        open_memory(name)
    stats = json.loads((folder / "stats.json").read_text("utf-8"))
    assert stats["provider"] == "cpu"
    assert stats["preset"] == "invert"
    assert stats["sent"] >= stats["styled"] > 0
    assert stats["sinks"][0]["state"] == "open"
    assert stats["stages_ms"]["generate"] > 0


def test_ends_after_the_frames_asked_for(folder: Path) -> None:
    with on_air(folder, frames=10) as daemon:
        assert daemon.wait(20)
    sink = daemon.path.sinks[0]
    assert sink.sent + sink.overwritten >= 10


def test_ends_after_the_time_asked_for(folder: Path) -> None:
    with Daemon(options(folder, duration=0.3), PresetLibrary([folder])) as daemon:
        assert daemon.wait(10)


def test_commands_change_the_picture(folder: Path) -> None:
    with on_air(folder) as daemon:
        send = daemon.controller.send
        send(ApplyPreset("identity")).result(20)
        until(lambda: level(daemon) == 50)
        send(ApplyPreset("invert", strength=0.5)).result(20)
        until(lambda: abs(level(daemon) - 128) <= 1)
        send(SetStrength(1.0)).result(5)
        until(lambda: level(daemon) == 205)
        send(SetBypass(True)).result(5)
        until(lambda: level(daemon) == 50)
        send(SetBypass(False)).result(5)
        until(lambda: level(daemon) == 205)


def test_warm_preset_is_loaded_by_the_worker(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_nan_model(folder / "nan.onnx")
    (folder / "nan.yaml").write_text("title: N\nmodel: ./nan.onnx\nprocess_size: 64x36\n", "utf-8")
    with on_air(folder) as daemon:
        daemon.controller.send(WarmPreset("nan")).result(5)
        # What it says of a broken one shows that it was loaded; nobody asked to see it.
        until(lambda: "preset nan cannot be used" in caplog.text)
        assert daemon.controller.on_air.preset == "invert"
        assert level(daemon) == 205


def test_bad_preset_leaves_the_old_one_on_air(folder: Path) -> None:
    write_nan_model(folder / "nan.onnx")
    (folder / "empty.onnx").write_bytes(b"")
    whole = (folder / "invert.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    for name in ("nan", "empty", "cut", "gone"):
        text = f"title: {name}\nmodel: ./{name}.onnx\nprocess_size: 64x36\n"
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    (folder / "strong.yaml").write_text("title: Strong\nstrength: 2\n", "utf-8")
    with on_air(folder) as daemon:
        for name in ("nan", "empty", "cut", "gone"):
            with pytest.raises(ModelError, match=name):
                daemon.controller.send(ApplyPreset(name)).result(20)
        with pytest.raises(PresetError, match=r"strong\.yaml:2: strength"):
            daemon.controller.send(ApplyPreset("strong")).result(20)
        before = styled(daemon)
        until(lambda: styled(daemon) > before + 3)
        assert level(daemon) == 205
        assert daemon.controller.on_air.preset == "invert"
        assert daemon.supervisor.restarts == 0


def test_preset_file_changed_on_air_changes_the_picture(folder: Path) -> None:
    with on_air(folder) as daemon:
        path = folder / "invert.yaml"
        path.write_text(path.read_text("utf-8") + "strength: 0\n", "utf-8")
        until(lambda: level(daemon) == 50)


def test_source_can_be_changed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cv2.imwrite(str(folder / "tall.png"), np.full((300, 90, 3), 200, np.uint8))
    with on_air(folder) as daemon:
        daemon.controller.send(ChangeSource(f"image:{folder / 'tall.png'}")).result(5)
        until(lambda: level(daemon) == 55)
        daemon.controller.send(ChangeSource("image:gone.png")).result(5)
        until(lambda: "there is no file gone.png" in caplog.text)
        # What cannot be opened leaves the old source on air.
        until(lambda: daemon.controller.on_air.source_state == "open")
        before = styled(daemon)
        until(lambda: styled(daemon) > before + 3)
        assert level(daemon) == 55


@pytest.mark.parametrize("fps", [5, 120])
def test_slow_and_fast_sources(folder: Path, fps: int) -> None:
    write_clip(folder / "clip.mp4", SIZE, fps, 2)
    source = SourceSpec.parse(f"file:{folder / 'clip.mp4'}")
    with on_air(folder, source=source) as daemon:
        until(lambda: daemon.presenter and daemon.presenter.picture != "standby")
        before = styled(daemon)
        pictures = set()

        def shown() -> bool:
            assert daemon.presenter is not None
            pictures.add(daemon.presenter.picture)
            return styled(daemon) > before + (8 if fps == 5 else 60)

        until(shown)
        taken = daemon.statistics()
    # A picture every 200 ms is slow, but nothing to stand by for.
    assert "standby" not in pictures
    if fps == 5:
        assert taken.repeated > 0.5 * taken.sent
    else:
        # Beside other work the file is not read at its full rate either.
        assert taken.captured > 1.1 * taken.sent


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP"])
def test_worker_that_dies_or_hangs_is_replaced(folder: Path, name: str) -> None:
    settings = WorkerSettings(hang_seconds=2.0)
    with on_air(folder, worker=settings, standby_seconds=0.5) as daemon:
        assert daemon.presenter is not None
        old = daemon.supervisor.pid
        assert old is not None
        os.kill(old, getattr(signal, name))
        if name == "SIGSTOP":
            # A killed worker is often replaced before there is time for it.
            until(lambda: daemon.presenter and daemon.presenter.picture == "standby")
        until(lambda: daemon.supervisor.pid not in (None, old))
        before = styled(daemon)
        until(lambda: styled(daemon) > before + 3)
        assert level(daemon) == 205
        assert daemon.controller.on_air.preset == "invert"
        assert daemon.supervisor.restarts == 1
        assert not psutil.pid_exists(old)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_new_worker_gets_strength_bypass_and_source(folder: Path) -> None:
    cv2.imwrite(str(folder / "light.png"), np.full((72, 128, 3), 200, np.uint8))
    with on_air(folder) as daemon:
        daemon.controller.send(ChangeSource(f"image:{folder / 'light.png'}")).result(5)
        daemon.controller.send(SetBypass(True)).result(5)
        until(lambda: level(daemon) == 200)
        pid = daemon.supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: daemon.supervisor.pid not in (None, pid))
        before = styled(daemon)
        until(lambda: styled(daemon) > before + 3)
        assert level(daemon) == 200


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_gpu_that_fails_again_and_again_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, log_errors: list[str]
) -> None:
    # There is no GPU that fails on demand: the CPU is taken for one.
    monkeypatch.setattr(RunsOn, "on_cpu", property(lambda self: False))
    session = SessionOptions(provider=Provider.OPENVINO, threads=1)
    settings = WorkerSettings(gpu_failures=2)
    with on_air(folder, session=session, worker=settings) as daemon:
        until(lambda: daemon.controller.on_air.provider == "openvino")
        for count in range(2):
            pid = daemon.supervisor.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: daemon.supervisor.pid not in (None, pid))
            before = styled(daemon)
            until(lambda before=before: styled(daemon) > before + 1)
            assert daemon.supervisor.restarts == count + 1
        until(lambda: daemon.controller.on_air.provider == "cpu")
    assert len(log_errors) == 1
    assert "THE GPU FAILED 2 TIMES IN A ROW: going on with the CPU" in log_errors.pop()


def test_gpu_whose_driver_dies_at_the_first_load_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch, log_errors: list[str]
) -> None:
    working = supervisor.worker_main
    monkeypatch.setattr(supervisor, "worker_main", dying_worker)
    session = SessionOptions(provider=Provider.AUTO, threads=1)
    wanted = options(folder, session=session, worker=WorkerSettings(gpu_failures=2))
    with Daemon(wanted, PresetLibrary([folder])) as daemon:
        until(lambda: daemon.supervisor.restarts > 0)
        until(lambda: log_errors)
        monkeypatch.setattr(supervisor, "worker_main", working)
        until(lambda: styled(daemon) > 0)
        assert daemon.controller.on_air.provider == "cpu"
    assert "THE GPU FAILED 2 TIMES IN A ROW" in log_errors.pop()


def test_provider_that_is_not_here_ends_with_what_is_missing(folder: Path) -> None:
    session = SessionOptions(provider=Provider.CUDA)
    with (
        pytest.raises(ProviderError, match=r"(?i)cuda"),
        Daemon(options(folder, session=session), PresetLibrary([folder])) as daemon,
    ):
        daemon.wait(30)


def test_source_that_can_never_work_ends_at_the_start(folder: Path) -> None:
    source = SourceSpec.parse("image:nowhere.png")
    with (
        pytest.raises(SourceError, match=r"nowhere\.png"),
        Daemon(options(folder, source=source), PresetLibrary([folder])) as daemon,
    ):
        daemon.wait(30)


def test_model_broken_at_the_start_shows_the_plain_picture(
    folder: Path, log_errors: list[str]
) -> None:
    (folder / "invert.onnx").write_bytes(b"")
    with Daemon(options(folder), PresetLibrary([folder])) as daemon:
        until(lambda: level(daemon) == 50)
        assert daemon.controller.on_air.preset == "plain"
        assert daemon.controller.on_air.trouble == "the style invert cannot be loaded"
        # Mended while on air, it goes on air.
        write_invert_model(folder / "invert.onnx")
        daemon.controller.send(ApplyPreset("invert")).result(20)
        until(lambda: level(daemon) == 205)
        assert daemon.controller.on_air.trouble == ""
    assert len(log_errors) == 1
    assert "invert.onnx is empty" in log_errors.pop()


def test_statistics_that_could_not_be_written_are_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gone" / "stats.json"
    file = reporting.StatisticsFile(path)
    file.write(Statistics(uptime_s=1.0))
    file.write(Statistics(uptime_s=2.0))
    assert caplog.text.count("cannot be written") == 1
    path.parent.mkdir()
    file.write(Statistics(uptime_s=3.0))
    assert json.loads(path.read_text("utf-8"))["uptime_s"] == 3.0


def test_memory_counts_all_processes(folder: Path) -> None:
    with on_air(folder) as daemon:
        alone = reporting.resident_megabytes([os.getpid()])
        assert daemon.statistics().memory_mb > alone
    assert reporting.resident_megabytes([2**22 + 1]) == 0


def test_plain_frames_come_while_they_are_looked_at(folder: Path) -> None:
    with on_air(folder) as daemon:
        until(lambda: level(daemon) == 205)
        until(lambda: daemon.plain.newest() is not None)
        plain = daemon.plain.newest()
        assert plain is not None
        assert int(np.median(plain.pixels)) == 50
        time.sleep(3.5)
        rested = daemon.plain.mailbox.published
        time.sleep(0.5)
        assert daemon.plain.mailbox.published == rested, "nobody looks any more"


def test_recording_and_snapshot_of_what_is_on_air(folder: Path) -> None:
    places = RecordingSettings(folder=str(folder / "films"), snapshots=str(folder / "stills"))
    with on_air(folder, recording=places) as daemon:
        until(lambda: level(daemon) == 205)
        film = Path(daemon.controller.send(Record(True)).result(10).details["path"])
        assert daemon.controller.on_air.recording == str(film)
        time.sleep(0.5)
        stills = daemon.controller.send(TakeSnapshot()).result(10).details
        daemon.controller.send(Record(False)).result(10)
        until(lambda: daemon.controller.on_air.recording == "")
        assert daemon.presenter is not None
    assert film.parent == folder / "films"
    with av.open(str(film)) as opened:
        shades = [int(np.median(f.to_ndarray(format="rgb24"))) for f in opened.decode(video=0)]
    assert shades
    assert max(abs(shade - 205) for shade in shades) <= 3
    levels = {name: int(np.median(cv2.imread(path))) for name, path in stills.items()}
    assert levels == {"styled": 205, "plain": 50}


def test_recording_goes_on_being_whole_when_the_daemon_ends(folder: Path) -> None:
    places = RecordingSettings(folder=str(folder / "films"), container="mp4")
    with on_air(folder, recording=places) as daemon:
        film = Path(daemon.controller.send(Record(True)).result(10).details["path"])
        time.sleep(0.5)
    with av.open(str(film)) as opened:
        assert sum(1 for _ in opened.decode(video=0)) > 0


def test_recording_into_a_folder_that_cannot_be_is_refused(folder: Path) -> None:
    (folder / "film").write_text("a file", "utf-8")
    with on_air(folder, recording=RecordingSettings(folder=str(folder / "film"))) as daemon:
        with pytest.raises(SinkError, match="cannot be made"):
            daemon.controller.send(Record(True)).result(10)
        assert daemon.controller.on_air.recording == ""


def test_frozen_picture_stays_whatever_happens(folder: Path) -> None:
    with on_air(folder) as daemon:
        until(lambda: level(daemon) == 205)
        assert daemon.presenter is not None
        daemon.controller.send(SetFreeze(True)).result(10)
        daemon.controller.send(ApplyPreset("identity")).result(10)
        until(lambda: level(daemon) == 50)
        assert daemon.presenter.picture == "frozen"
        daemon.controller.send(SetFreeze(False)).result(10)
        until(lambda: daemon.presenter is not None and daemon.presenter.picture == "styled")


def test_a_slow_machine_takes_the_lite_variant_by_itself(folder: Path) -> None:
    write_slow_model(folder / "slow.onnx")
    write_invert_model(folder / "slow.lite.onnx")
    (folder / "slow.yaml").write_text(
        "title: slow\nmodel: ./slow.onnx\nprocess_size: 320x180\n", "utf-8"
    )
    # With motion it may make key pictures enough.
    with on_air(folder, preset="slow", adapt=True, motion=False) as daemon:
        assert daemon.statistics().generator == "slow"
        until(lambda: daemon.statistics().generator == "slow.lite")
        until(lambda: level(daemon) == 205)


def test_control_surface_that_fails_leaves_the_camera_on_air(
    folder: Path, log_errors: list[str]
) -> None:
    seen: list[str] = []

    class Surface:
        def __init__(self, api: ControlApi) -> None:
            self.api = api

        def start(self) -> None:
            self.api.send(ApplyPreset("identity")).result(10)
            seen.append(self.api.on_air.preset)

        def stop(self) -> None:
            seen.append("stopped")
            raise OSError("jammed")

    def broken(api: ControlApi) -> Surface:
        raise OSError("no such device")

    library = PresetLibrary([folder])
    with Daemon(options(folder), library, control_surfaces=[broken, Surface]) as daemon:
        until(lambda: level(daemon) == 50)
    assert seen == ["identity", "stopped"]
    assert len(log_errors) == 2
    log_errors.clear()
