"""Measures the filter in a real OBS Studio with a real daemon on this machine (Linux).

    .venv/bin/python tests/benchmarks/bench_obs_filter.py
    chrt -r 30 .venv/bin/python tests/benchmarks/bench_obs_filter.py --row ends

OBS draws 640x360 at 30 fps in software. Time in the script is that in its drawing function without
the drawing itself, which a GPU does elsewhere: looked up, mapped, copied, uploaded. Latency is in
frames of OBS, from the one whose picture was handed over to the one that shows its answer. As a
real-time process (``chrt``) OBS is shielded from other programs and from the daemon.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.frames import FrameSize, Pixels  # noqa: E402
from obs_stylizer.obs_filter.listing import FilterInfo, Sign, list_filters  # noqa: E402
from obs_stylizer.obs_filter.mapping import FilterMapping  # noqa: E402
from tests.benchmarks.obs_filter_rig import (  # noqa: E402
    FPS,
    SIZE,
    STRIP,
    DaemonProcess,
    Drawn,
    Rig,
    Stalls,
    number_in,
    rig,
    write_numbered_clip,
)
from tests.fakes.real_obs import SCENES  # noqa: E402

SECONDS = 12.0
QUICK = ("--preset", "great-wave", "--process-size", "320x180")
SLOW = ("--preset", "great-wave", "--process-size", "448x252")
CARRIED = ("--preset", "great-wave", "--process-size", "640x360")
HEAVY = ("--preset", "great-wave", "--process-size", "832x468")
ALL = (QUICK, SLOW, CARRIED, HEAVY)
BACKDROP = (0, 255, 0)


def row_skipped(bench: Rig) -> None:
    """Frames that OBS skips by itself, with the filter, and with a daemon."""
    with clip(bench, "Clip"):
        tell_skipped(bench, "a clip without a filter")
        bench.put_filter("Clip")
        noted = tell_skipped(bench, "with the filter, nobody listening")
        print(f"  in the script {milliseconds(noted)}", flush=True)
        for options in ALL:
            with bench.daemon(*options):
                bench.settle()
                tell_skipped(bench, f"with a daemon, {options[-1]}")
        tell_skipped(bench, "with the filter, the daemon gone")


def tell_skipped(bench: Rig, what: str) -> list[Drawn]:
    noted, skipped, drawn = bench.watch(SECONDS)
    print(f"{what}: {skipped} of {drawn} frames skipped", flush=True)
    return noted


def row_latency(bench: Rig) -> None:
    """Latency of a clip in motion, with a quick generator and with one that needs carrying."""
    stalls = Stalls()
    with clip(bench, "Clip"):
        bench.put_filter("Clip")
        for options in ALL:
            with bench.daemon(*options) as daemon:
                bench.settle()
                noted, skipped, drawn = bench.watch(SECONDS)
                latency = dict(sorted(Counter(frame.latency for frame in noted).items()))
                late = [frame for frame in noted if not 0 <= frame.latency <= 2]
                after_stalls = sum(map(stalls.is_after_one, late))
                print(
                    f"a clip, {described(daemon)}; in the script {milliseconds(noted)}; "
                    f"latency (-1: plain) {latency}; {after_stalls} of those above 2 after a "
                    f"processor stood still; {skipped} of {drawn} frames skipped",
                    flush=True,
                )


def row_recorded(bench: Rig) -> None:
    """The same latency, read from OBS's own recording: plain and styled numbers in each frame."""
    for name, value in (("Preset", "ultrafast"), ("VBitrate", "6000")):
        parameter = {"parameterCategory": "SimpleOutput", "parameterName": name}
        bench.obs.ask("SetProfileParameter", **parameter, parameterValue=value)
    green = {"inputKind": "color_source_v3", "sceneName": SCENES[0]}
    values = {"color": 0xFF00FF00, "width": SIZE.width, "height": SIZE.height}
    bench.obs.ask("CreateInput", **green, inputName="Green", inputSettings=values)
    with clip(bench, "Clip", SCENES[1]):
        bench.put_filter(SCENES[1])
        bench.obs.ask("CreateSceneItem", sceneName=SCENES[0], sourceName=SCENES[1])
        # The clip's own strip, below the styled picture.
        for source in ("Green", "Clip"):
            item = bench.obs.ask("CreateSceneItem", sceneName=SCENES[0], sourceName=source)
            place = {"positionY": float(SIZE.height - STRIP), "cropBottom": SIZE.height - STRIP}
            chosen = {"sceneName": SCENES[0], "sceneItemId": item["sceneItemId"]}
            bench.obs.ask("SetSceneItemTransform", **chosen, sceneItemTransform=place)
        for options in ALL:
            with bench.daemon(*options) as daemon:
                bench.settle()
                bench.obs.ask("StartRecord")
                noted, skipped, drawn = bench.watch(SECONDS)
                path = bench.obs.ask("StopRecord")["outputPath"]
                counted = Counter(frame.latency for frame in noted)
                print(
                    f"recorded, {described(daemon)}: latency in the recording "
                    f"{recorded_latency(Path(path))}, by the script's count "
                    f"{dict(sorted(counted.items()))}; {skipped} of {drawn} frames skipped",
                    flush=True,
                )
    bench.obs.ask("RemoveSourceFilter", sourceName=SCENES[1], filterName="style")
    bench.obs.remove("Green")


def recorded_latency(path: Path) -> dict[int, int]:
    """For each frame of a recording: how many frames ago its styled number was the plain one."""
    seen: dict[int, int] = {}
    latency: Counter[int] = Counter()
    until = time.monotonic() + 10
    size = -1
    while path.stat().st_size != size and time.monotonic() < until:  # OBS ends it a moment later
        size = path.stat().st_size
        time.sleep(0.5)
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            rgb = frame.to_ndarray(format="rgb24")
            seen[number_in(rgb[-STRIP:], BACKDROP)] = index
            then = seen.get(number_in(rgb[:STRIP], BACKDROP))
            if then is not None and index >= FPS:
                latency[index - then] += 1
    return dict(sorted(latency.items()))


def row_ends(bench: Rig) -> None:
    """Until the picture is plain, and styled again, by what OBS drew."""
    told: dict[str, list[float]] = {}
    with clip(bench, "Clip"):
        bench.put_filter("Clip")
        (info,) = await_filters(1)
        before = bench.obs.ask("GetStats")
        for _ in range(2):
            with bench.daemon(*QUICK) as daemon:
                bench.styled_for(1.0)
                note = told.setdefault
                at = daemon.signal(signal.SIGSTOP)
                note("stopped, plain", []).append(bench.first(at, styled=False))
                at = daemon.signal(signal.SIGCONT)
                note("going on, styled", []).append(bench.first(at, styled=True))
                bench.styled_for(1.0)
                with held_thread(daemon.worker()) as at:
                    note("its styling thread held, plain", []).append(bench.first(at, styled=False))
                at = time.monotonic()
                note("let go, styled", []).append(bench.first(at, styled=True))
                bench.styled_for(1.0)
                worker = daemon.worker()
                os.kill(worker, signal.SIGKILL)
                at = time.monotonic()
                note("worker killed, plain", []).append(bench.first(at, styled=False))
                back = await_beat(info.path)
                note("the next worker at work", []).append(back - at)
                note("the next worker at work, styled", []).append(bench.first(back, styled=True))
                bench.styled_for(1.0)
                at = daemon.kill()
                note("all killed, plain", []).append(bench.first(at, styled=False))
            with bench.daemon(*QUICK) as daemon:
                back = await_beat(info.path)
                note("started again, at work", []).append(back - daemon.started)
                note("at work, styled", []).append(bench.first(back, styled=True))
        after = bench.obs.ask("GetStats")
    for what, seconds in told.items():
        print(f"{what} after {', '.join(f'{s:.2f}' for s in seconds)} s", flush=True)
    skipped, drawn = (
        after[name] - before[name] for name in ("renderSkippedFrames", "renderTotalFrames")
    )
    print(f"skipped meanwhile: {skipped} of {drawn}", flush=True)


@contextmanager
def held_thread(number: int) -> Iterator[float]:
    """Stop one thread of another process as a debugger does; give the moment at which it stood."""
    seize, interrupt, detach, any_clone = 0x4206, 0x4207, 17, 0x40000000
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    for request in (seize, interrupt):
        if trace(request, number, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(number, any_clone)
    try:
        yield time.monotonic()
    finally:
        trace(detach, number, None, None)


def await_filters(count: int) -> list[FilterInfo]:
    """Return the filters that OBS shows; they make their files once a daemon is there."""
    sign = Sign(SIZE)
    sign.show()
    until = time.monotonic() + 20
    while len(found := [info for info in list_filters() if info.size]) != count:
        if time.monotonic() > until:
            raise TimeoutError(f"{found} are there")
        time.sleep(0.1)
    sign.remove()
    return found


def await_beat(path: Path) -> float:
    """Return when the next sign of life is left in a filter's file."""
    mapping = FilterMapping(path)
    beat = int(mapping._header["beat"][0])
    while int(mapping._header["beat"][0]) == beat:
        time.sleep(0.001)
    now = time.monotonic()
    mapping.close()
    return now


WRITER = """
import sys, time
import numpy as np
from pathlib import Path
from obs_stylizer.frames import FrameSize
from obs_stylizer.obs_filter.mapping import FilterMapping
link, number = FilterMapping(Path(sys.argv[1])), 0
link.ask_for(FrameSize(640, 360))
while True:
    link.beat()
    number += 1
    picture = link.answer_into(FrameSize(640, 360))
    picture[:] = number * 37 % 256
    picture[..., 3] = 255
    link.publish(number)
    time.sleep(0.002)
"""


def row_kills(bench: Rig) -> None:
    """Its other end killed 25 times while it writes, under screenshots."""
    plain = slopes()
    bench.obs.show("Noise", plain)
    (info,) = await_filters(1)
    shots, alone = shoot(bench, plain, lambda: None)
    print(f"nobody writing: {shots.total()} screenshots, {alone} frames skipped", flush=True)

    def write() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(info.path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            # An ordinary program, as a daemon is, however this one was started.
            preexec_fn=lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        )

    shots, skipped = shoot(bench, plain, write)
    print(
        f"killed 25 times while writing: {shots.total()} screenshots, {shots['styled']} of them "
        f"of its pictures, {shots['torn']} torn, {skipped} frames skipped",
        flush=True,
    )
    bench.obs.remove("Noise")


def shoot(
    bench: Rig, plain: Pixels, begin: Callable[[], subprocess.Popen[bytes] | None]
) -> tuple[Counter[str], int]:
    """Take screenshots in 25 turns, a process begun in each and killed at its end.

    Returns:
        How many showed what, and the frames that OBS skipped meanwhile.
    """
    before = bench.obs.ask("GetStats")
    counts: Counter[str] = Counter()
    for _ in range(25):
        process = begin()
        until = time.monotonic() + 0.8 + random.random() * 0.5
        while time.monotonic() < until:
            counts[kind_of(bench.obs.shot("Noise"), plain)] += 1
        if process is not None:
            process.kill()
            process.wait()
        counts[kind_of(bench.obs.shot("Noise"), plain)] += 1
    after = bench.obs.ask("GetStats")
    return counts, after["renderSkippedFrames"] - before["renderSkippedFrames"]


def kind_of(shot: Pixels, plain: Pixels) -> str:
    """Say whether a screenshot is of one of the uniform pictures, plain, or of several."""
    if (shot == shot[0, 0]).all():
        return "styled"
    return "plain" if np.array_equal(shot, plain) else "torn"


def row_two(bench: Rig) -> None:
    """Two filters on two clips, each with its own preset, one daemon."""
    half = FrameSize(320, 180)
    with clip(bench, "Left", size=half), clip(bench, "Right", size=half):
        bench.put_filter("Left")
        bench.put_filter("Right", "starry-night")
        options = ("--preset", "great-wave", "--process-size", "192x108")
        with bench.daemon(*options, source="obs-filter:Left") as daemon:
            await_filters(2)
            bench.settle()
            noted, skipped, drawn = bench.watch(SECONDS)
            for number, name in enumerate(sorted({frame.number for frame in noted}), 1):
                mine = [frame for frame in noted if frame.number == name]
                answers = len({frame.shown for frame in mine if frame.is_styled})
                plain = sum(not frame.is_styled for frame in mine)
                print(
                    f"filter {number}: {answers / SECONDS:.1f} answers a second, {plain} of "
                    f"{len(mine)} frames plain",
                    flush=True,
                )
            print(f"{described(daemon)}; {skipped} of {drawn} frames skipped", flush=True)


@contextmanager
def clip(bench: Rig, name: str, scene: str = SCENES[0], size: FrameSize = SIZE) -> Iterator[None]:
    """Show a numbered clip in a scene for a while."""
    path = bench.folder / f"{size}.mov"
    if not path.exists():
        write_numbered_clip(path, size, 4.0)
    bench.show_clip(name, path, scene)
    yield
    bench.obs.remove(name)


def slopes() -> Pixels:
    """A picture that is small as a PNG, which OBS sends by its socket, and not uniform."""
    pixels = np.full((SIZE.height, SIZE.width, 4), 255, np.uint8)
    pixels[..., 0] = np.linspace(20, 230, SIZE.width)[np.newaxis]
    pixels[..., 1] = np.linspace(200, 30, SIZE.height)[:, np.newaxis]
    pixels[..., 2] = 128
    return pixels


def described(daemon: DaemonProcess) -> str:
    """Say what ran, and how quickly."""
    stats = daemon.stats()
    return (
        f"{stats['generator']} {stats['provider']} {stats['precision']} at "
        f"{stats['process_size']}, "
        f"generator {stats['stages_ms']['generate']:.0f} ms, key pictures "
        f"{stats['fps']['keys']:.0f}/s"
    )


def milliseconds(noted: list[Drawn]) -> str:
    """Say how long the script took for a frame."""
    took = sorted(1000 * frame.took for frame in noted)
    if not took:
        return "nothing"
    return f"{statistics.median(took):.3f} ms median, {took[int(len(took) * 0.99)]:.3f} ms p99"


ROWS: dict[str, Callable[[Rig], None]] = {
    "skipped": row_skipped,
    "latency": row_latency,
    "recorded": row_recorded,
    "ends": row_ends,
    "kills": row_kills,
    "two": row_two,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", action="append", choices=list(ROWS))
    rows = parser.parse_args().row or list(ROWS)
    # As XDG_RUNTIME_DIR is: memory, and not a disk.
    folder = Path(tempfile.mkdtemp(prefix="bench-filter-", dir="/dev/shm"))
    try:
        with rig(folder) as bench:
            for row in rows:
                ROWS[row](bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
