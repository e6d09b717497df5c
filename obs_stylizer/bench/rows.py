"""The measurements, one function a row group, each on a daemon of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import psutil

from obs_stylizer.bench.clips import write_clip
from obs_stylizer.bench.loops import bare_loop, usual_loop
from obs_stylizer.bench.report import Figure, Row
from obs_stylizer.bench.setup import LOADED, Bench, runtimes, wait_for
from obs_stylizer.control.commands import ApplyPreset
from obs_stylizer.daemon.reporting import resident_megabytes
from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.realtime.statistics import Statistics
from obs_stylizer.sinks.listing import list_virtual_cameras
from obs_stylizer.sinks.spec import SinkKind, SinkSpec
from obs_stylizer.sources.spec import SourceKind, SourceSpec

_SWITCHES = 50
_KILLS = 3
_SETTLE_SECONDS = 2.0
_WANTED_FPS = {"OpenVINO bf16": 60.0, "OpenVINO int8": 80.0, "ONNX Runtime f32": 30.0}


def free_running(bench: Bench) -> Iterator[Row]:
    """Each runtime as fast as it goes, against a bare loop of the same session."""
    still = bench.folder / "still.png"
    _write_still(bench, still)
    for runtime in runtimes(bench.session.threads):
        row = Row(f"Free running, {runtime.title}")
        try:
            generator = bench.generator(runtime.options)
            try:
                # The machine's speed drifts, so the bare loop is timed on both sides.
                before = bare_loop(generator, bench.seconds / 2)
                own = bench.with_session(runtime.options)
                options = replace(
                    own.options(),
                    source=SourceSpec(SourceKind.IMAGE, str(still)),
                    paced=False,
                    fps=100.0,
                )
                with own.on_air(options) as daemon:
                    taken = _measure(daemon.statistics, own.seconds)
                after = bare_loop(generator, bench.seconds / 2)
            finally:
                generator.close()
            fps = taken.styled / taken.uptime_s
            bare = (before + after) / 2
            row.note = f"{taken.provider} {taken.precision} on {taken.device}"
            row.figures = [
                Figure("worker", fps, "fps", _WANTED_FPS[runtime.title]),
                Figure("bare session.run", bare * 1000, "ms"),
                Figure("worker ÷ bare loop", fps * bare, "x", 0.9),
                *(Figure(f"stage {k}", v, "ms") for k, v in taken.stages_ms.items() if k != "wait"),
            ]
        except StylizerError as error:
            row.skipped = str(error)
        yield row


def against_the_usual_loop(bench: Bench) -> Iterator[Row]:
    """Ours with the best runtime against the loop that most programs have."""
    row = Row("Against the usual loop")
    clip = _clip(bench, 30)
    usual = usual_loop(clip, bench.model, bench.process_size, bench.size, bench.seconds)
    options = replace(
        bench.options(), source=SourceSpec(SourceKind.FILE, str(clip)), paced=False, fps=100.0
    )
    with bench.on_air(options) as daemon:
        taken = _measure(daemon.statistics, bench.seconds)
    fps = taken.styled / taken.uptime_s
    row.note = "both read, decode and scale the same 720p file"
    row.figures = [
        Figure("usual loop", 1 / usual, "fps"),
        Figure("ours", fps, "fps"),
        Figure("ours ÷ usual", fps * usual, "x", 2.0),
    ]
    yield row


def real_time(bench: Bench) -> Iterator[Row]:
    """A file at its own rate to the virtual camera, at 30 and at 60 fps."""
    cameras = list_virtual_cameras()
    for fps, fresh, latency, keys in ((30, 99.0, 40.0, 12.0), (60, 97.0, 35.0, 9.0)):
        row = Row(f"{fps} fps file at its own rate to the virtual camera")
        options = replace(
            bench.options(),
            source=SourceSpec(SourceKind.FILE, str(_clip(bench, fps))),
            sinks=(SinkSpec(SinkKind.VIRTUAL_CAMERA if cameras else SinkKind.NULL),),
            fps=float(fps),
        )
        if not cameras:
            row.title = f"{fps} fps file at its own rate to the null sink"
            row.note = "no virtual camera found"
        with bench.on_air(options) as daemon:
            # Whether pictures have to be carried is found out in the first frames.
            time.sleep(_SETTLE_SECONDS)
            daemon.reset_statistics()
            before = _cpu_seconds(daemon.pids())
            taken = _measure(daemon.statistics, max(10.0, bench.seconds))
            used = _cpu_seconds(daemon.pids()) - before
        row.figures = [
            *_path_figures(taken, fps - 0.1, fresh, latency),
            Figure("key pictures", taken.generated / taken.uptime_s, "fps", keys),
            Figure("carried", 100 * taken.reprojected / max(1, taken.styled), "%"),
            Figure("stage generate", taken.stages_ms["generate"], "ms"),
            Figure("CPU, all processes", 100 * used / taken.uptime_s, "%"),
        ]
        yield row


def plain(bench: Bench) -> Iterator[Row]:
    """A file of 1920×1080 at 60 fps with no generator."""
    cameras = list_virtual_cameras()
    large = replace(bench, size=FrameSize(1920, 1080))
    clip = bench.folder / "large60.mp4"
    write_clip(clip, large.size, 60, 5)
    options = replace(
        large.options(),
        source=SourceSpec(SourceKind.FILE, str(clip)),
        sinks=(SinkSpec(SinkKind.VIRTUAL_CAMERA if cameras else SinkKind.NULL),),
        preset="plain",
        fps=60.0,
    )
    with large.on_air(options) as daemon:
        taken = _measure(daemon.statistics, max(10.0, bench.seconds))
    where = "virtual camera" if cameras else "null sink"
    row = Row(f"1920x1080 file at 60 fps, plain, to the {where}")
    row.figures = _path_figures(taken, 59.9, 98.0, 25.0)
    yield row


def still(bench: Bench) -> Iterator[Row]:
    """A picture in which nothing moves, with motion followed and without."""
    picture = bench.folder / "still.png"
    _write_still(bench, picture)
    options = replace(bench.options(), source=SourceSpec(SourceKind.IMAGE, str(picture)), fps=30.0)
    used, runs = {}, {}
    for motion in (True, False):
        with bench.on_air(replace(options, motion=motion)) as daemon:
            before = _cpu_seconds(daemon.pids())
            taken = _measure(daemon.statistics, bench.seconds)
            used[motion] = (_cpu_seconds(daemon.pids()) - before) / taken.uptime_s
            runs[motion] = taken.generated / taken.uptime_s
    row = Row("Still picture at 30 fps")
    row.figures = [
        Figure("generator runs", runs[True], "fps", 1.1, at_least=False),
        Figure("CPU, all processes", 100 * used[True], "%"),
        Figure("CPU with motion off", 100 * used[False], "%"),
        Figure("with ÷ without", used[True] / max(1e-9, used[False]), "x", 0.3, at_least=False),
    ]
    yield row


def _path_figures(taken: Statistics, sent: float, fresh: float, latency: float) -> list[Figure]:
    share = 100 * (1 - taken.repeated / max(1, taken.sent))
    return [
        Figure("sent", taken.sent / taken.uptime_s, "fps", sent),
        Figure("fresh", share, "%", fresh),
        Figure("latency median", taken.latency_ms.median, "ms"),
        Figure("latency p95", taken.latency_ms.p95, "ms", latency, at_least=False),
        Figure("ticks late p99", taken.late_ms.p99, "ms", 2.0, at_least=False),
        Figure("ticks missed", taken.missed_ticks, "", 0, at_least=False),
    ]


def switching(bench: Bench) -> Iterator[Row]:
    """From one loaded preset to another, again and again."""
    row = Row("Preset switch, both loaded")
    options = replace(bench.options(), fps=30.0)
    with bench.on_air(options) as daemon:
        daemon.controller.send(ApplyPreset("bench1")).result(30)
        daemon.controller.send(ApplyPreset("bench0")).result(30)
        time.sleep(1)
        daemon.reset_statistics()
        times = []
        presenter = daemon.presenter
        assert presenter is not None
        for number in range(_SWITCHES):
            began = time.perf_counter()
            daemon.controller.send(ApplyPreset(f"bench{(number + 1) % 2}")).result(30)
            request_id = daemon.controller.on_air.request_id
            wait_for(daemon, lambda request_id=request_id: request_id in presenter.first_shown_at)
            times.append(1000 * (presenter.first_shown_at[request_id] - began))
            time.sleep(0.3)
        missed = daemon.statistics().missed_ticks
    row.figures = [
        Figure("command to first changed frame, median", median(times), "ms", 100, at_least=False),
        Figure("worst", max(times), "ms", 150, at_least=False),
        Figure("ticks missed", missed, "", 0, at_least=False),
    ]
    yield row


def killing(bench: Bench) -> Iterator[Row]:
    """The worker is killed; the sink must not notice and the style must come back."""
    row = Row("Worker killed")
    options = replace(bench.options(), fps=30.0)
    times = []
    with bench.on_air(options) as daemon:
        for _ in range(_KILLS):
            styled = daemon.mailbox.counters().styled
            pid = daemon.supervisor.pid
            assert pid is not None
            began = time.perf_counter()
            os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
            # A frame may have been finished in the instant of the kill; the next is the new one's.
            wait_for(
                daemon,
                lambda old=pid, count=styled: (
                    daemon.supervisor.pid not in (None, old)
                    and daemon.mailbox.counters().styled > count + 1
                ),
            )
            times.append(time.perf_counter() - began)
            time.sleep(2)
        taken = daemon.statistics()
    row.figures = [
        Figure("to fresh styled frames, median", 1000 * median(times), "ms"),
        Figure("worst", 1000 * max(times), "ms", 3000, at_least=False),
        Figure("ticks missed", taken.missed_ticks, "", 0, at_least=False),
    ]
    yield row


def memory(bench: Bench) -> Iterator[Row]:
    """All processes with eight presets loaded, each with a generator of its own."""
    row = Row(f"Memory, {LOADED} presets loaded")
    options = replace(bench.options(), fps=30.0, preload=True)
    with bench.on_air(options) as daemon:
        wait_for(daemon, lambda: daemon.controller.on_air.preloaded, 120)
        time.sleep(1)
        megabytes = resident_megabytes(daemon.pids())
    row.figures = [Figure("all processes", megabytes, "MB", 700, at_least=False)]
    yield row


def idle_threads(bench: Bench) -> Iterator[Row]:
    """What waiting threads cost a game at 30 fps, with and without spinning."""
    row = Row("Idle threads at 30 fps, ONNX Runtime")
    session = replace(runtimes(bench.session.threads)[2].options, threads=bench.session.threads)
    for spin in (False, True):
        own = bench.with_session(replace(session, spin=spin))
        options = replace(own.options(), fps=20.0, source_fps=20.0)
        with own.on_air(options) as daemon:
            before = _cpu_seconds(daemon.pids())
            taken = _measure(daemon.statistics, bench.seconds)
            used = 100 * (_cpu_seconds(daemon.pids()) - before) / taken.uptime_s
        word = "spinning" if spin else "not spinning"
        row.figures.append(Figure(f"CPU, {word}", used, "%"))
        row.figures.append(Figure(f"generator, {word}", taken.stages_ms["generate"], "ms"))
    yield row


# Memory comes first, before this process itself has loaded any generator to compare with.
ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "memory": memory,
    "switch": switching,
    "kill": killing,
    "realtime": real_time,
    "plain": plain,
    "still": still,
    "free": free_running,
    "usual": against_the_usual_loop,
    "idle": idle_threads,
}


def _measure(statistics: Callable[[], Statistics], seconds: float) -> Statistics:
    time.sleep(seconds)
    return statistics()


def _cpu_seconds(pids: list[int]) -> float:
    total = 0.0
    for pid in pids:
        times = psutil.Process(pid).cpu_times()
        total += times.user + times.system
    return total


def _clip(bench: Bench, fps: int) -> Path:
    path = bench.folder / f"clip{fps}.mp4"
    if not path.exists():
        write_clip(path, bench.size, fps, 10)
    return path


def _write_still(bench: Bench, path: Path) -> None:
    """One picture of the test pattern."""
    import cv2

    from obs_stylizer.sources.base import SourceOptions
    from obs_stylizer.sources.open import make_source

    with make_source(
        SourceSpec(SourceKind.PATTERN), SourceOptions(frame_size=bench.size, paced=False)
    ) as source:
        source.open()
        frame = source.read(1.0)
    assert frame is not None
    cv2.imwrite(str(path), cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))
