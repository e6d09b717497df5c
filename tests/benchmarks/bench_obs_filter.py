"""Measures the filter in a real OBS Studio with a real daemon on this machine (Linux).

    .venv/bin/python tests/benchmarks/bench_obs_filter.py
    .venv/bin/python tests/benchmarks/bench_obs_filter.py --row kills

OBS draws 640x360 at 30 fps in software. Time in the script is that in its drawing function without
the drawing itself, which a GPU does elsewhere: looked up, mapped, copied, uploaded.
"""

from __future__ import annotations

import argparse
import json
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
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.bench.clips import write_clip  # noqa: E402
from obs_stylizer.frames import FrameSize, Pixels  # noqa: E402
from obs_stylizer.obs_filter.listing import Sign, list_filters  # noqa: E402
from tests.fakes import display  # noqa: E402
from tests.fakes.real_obs import SCENES  # noqa: E402
from tests.installer.filter_in_obs import KIND, SCRIPT, Obs, obs_with_filter  # noqa: E402

SIZE = FrameSize(640, 360)
SECONDS = 12.0
# Loads the script with clocks around what it calls, and writes what they said to a file.
TIMED_SCRIPT = """
local obs, ffi = obslua, require("ffi")
local real, drawn = ffi.C, 0
local DRAWS = {}
for name in ([[gs_texrender_create gs_texrender_begin_with_color_space gs_texrender_end
    gs_texrender_get_texture gs_stagesurface_create gs_stage_texture gs_texture_create
    gs_draw_sprite gs_clear gs_effect_loop]]):gmatch("[%%w_]+") do DRAWS[name] = true end
ffi.cdef("uint64_t os_gettime_ns(void);")
local function clock() return tonumber(real.os_gettime_ns()) end
local function timed(call)
    return function(...)
        local began = clock()
        local a = call(...)
        drawn = drawn + clock() - began
        return a
    end
end
local known = {}
ffi.C = setmetatable({}, { __index = function(_, name)
    if not known[name] then
        known[name] = DRAWS[name] and timed(real[name]) or real[name]
    end
    return known[name]
end })
obs.obs_source_skip_video_filter = timed(obs.obs_source_skip_video_filter)
local register, file = obs.obs_register_source, io.open("%(out)s", "w")
obs.obs_register_source = function(info)
    local render = info.video_render
    info.video_render = function(it)
        local frame, began = it.frame, clock()
        drawn = 0
        render(it)
        local took = clock() - began - drawn
        if it.frame ~= frame then
            local fresh = it.has_picture and began / 1e9 - it.taken_at < 0.4
            file:write(string.format("%%d %%d %%d\\n", took, fresh and it.frame - it.shown or -1,
                it.head and 1 or 0))
            file:flush()
        end
    end
    register(info)
end
dofile("%(script)s")
"""


class Bench:
    """OBS with the timed script, one picture and its filter."""

    def __init__(self, obs: Obs, folder: Path) -> None:
        self.obs = obs
        self.folder = folder
        self.plain = slopes()
        obs.show("Noise", self.plain)

    def lines(self) -> list[list[int]]:
        text = (self.folder / "timed.txt").read_text()
        return [
            [int(n) for n in line.split()] for line in text.splitlines() if line.count(" ") == 2
        ]

    def watch(self, seconds: float = SECONDS) -> tuple[list[list[int]], int, int]:
        """Return what the script noted in that time, and OBS's skipped and drawn frames."""
        before, had = self.obs.ask("GetStats"), len(self.lines())
        time.sleep(seconds)
        after = self.obs.ask("GetStats")
        skipped, drawn = (
            after[name] - before[name] for name in ("renderSkippedFrames", "renderTotalFrames")
        )
        return self.lines()[had:], skipped, drawn

    def is_plain(self) -> bool:
        return np.array_equal(self.obs.shot("Noise"), self.plain)

    def seconds_until(self, plain: bool, most: float = 60.0) -> float:
        began = time.monotonic()
        while self.is_plain() != plain:
            if time.monotonic() - began > most:
                return float("nan")
            time.sleep(0.01)
        return time.monotonic() - began

    @contextmanager
    def daemon(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        config = self.folder / "config"
        (config / "obs-stylizer").mkdir(parents=True, exist_ok=True)
        (config / "obs-stylizer" / "config.yaml").write_text(
            "web: {enabled: false}\npreload: false\n"
        )
        command = [sys.executable, "-m", "obs_stylizer", "run", "--source", "obs-filter"]
        command += ["--sink", "null", "--size", str(SIZE), "--stats", str(self.folder / "stats")]
        process = subprocess.Popen(
            [*command, *options],
            env={**os.environ, "XDG_CONFIG_HOME": str(config), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "stats").read_text())
        return found


def slopes() -> Pixels:
    """A picture that is small as a PNG, which OBS sends by its socket, and not uniform."""
    pixels = np.full((SIZE.height, SIZE.width, 4), 255, np.uint8)
    pixels[..., 0] = np.linspace(20, 230, SIZE.width)[np.newaxis]
    pixels[..., 1] = np.linspace(200, 30, SIZE.height)[:, np.newaxis]
    pixels[..., 2] = 128
    return pixels


def milliseconds(lines: list[list[int]]) -> str:
    took = sorted(line[0] / 1e6 for line in lines)
    if not took:
        return "nothing"
    return f"{statistics.median(took):.3f} ms median, {took[int(len(took) * 0.99)]:.3f} ms p99"


def row_idle(bench: Bench) -> None:
    lines, skipped, drawn = bench.watch(5.0)
    print(f"nobody listens: {milliseconds(lines)}; {skipped} of {drawn} frames skipped", flush=True)


def row_latency(bench: Bench) -> None:
    clip = bench.folder / "clip.mp4"
    write_clip(clip, SIZE, 30, 4.0)
    bench.obs.remove("Noise")
    values = {"local_file": str(clip), "looping": True, "hw_decode": False}
    shown = {"inputName": "Clip", "inputKind": "ffmpeg_source", "inputSettings": values}
    bench.obs.ask("CreateInput", sceneName=SCENES[0], **shown)
    one = {"sourceName": "Clip", "filterName": "style", "filterKind": KIND, "filterSettings": {}}
    bench.obs.ask("CreateSourceFilter", **one)
    for options in (
        ("--preset", "great-wave", "--process-size", "320x180"),
        ("--preset", "great-wave", "--process-size", "448x252"),
    ):
        with bench.daemon(*options):
            while not bench.lines() or bench.lines()[-1][1] < 0:
                time.sleep(0.1)
            time.sleep(8.0)
            lines, skipped, drawn = bench.watch()
            stats = bench.stats()
            latency = dict(sorted(Counter(line[1] for line in lines).items()))
            print(
                f"a clip, {' '.join(options[1:])}: {stats['generator']} {stats['provider']} "
                f"{stats['precision']}, generator {stats['stages_ms']['generate']:.0f} ms, key "
                f"pictures {stats['fps']['keys']:.0f}/s; in the script {milliseconds(lines)}; "
                f"latency in OBS frames (-1: plain) {latency}; {skipped} of {drawn} frames skipped",
                flush=True,
            )
        time.sleep(2.0)
    bench.obs.remove("Clip")
    bench.obs.show("Noise", bench.plain)


def row_ends(bench: Bench) -> None:
    with bench.daemon("--preset", "great-wave", "--process-size", "320x180") as process:
        bench.seconds_until(plain=False)
        time.sleep(2.0)
        before = bench.obs.ask("GetStats")["renderSkippedFrames"]
        told: dict[str, list[float]] = {"stopped, plain": [], "going on, styled": []}
        for _ in range(3):
            os.killpg(process.pid, signal.SIGSTOP)
            told["stopped, plain"].append(bench.seconds_until(plain=True))
            os.killpg(process.pid, signal.SIGCONT)
            told["going on, styled"].append(bench.seconds_until(plain=False))
            time.sleep(1.0)
        os.killpg(process.pid, signal.SIGKILL)
        told["killed, plain"] = [bench.seconds_until(plain=True)]
        after = bench.obs.ask("GetStats")["renderSkippedFrames"]
        for what, seconds in told.items():
            print(f"{what} after {', '.join(f'{s:.2f}' for s in seconds)} s", flush=True)
        print(f"skipped meanwhile: {after - before}", flush=True)


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


def row_kills(bench: Bench) -> None:
    sign = Sign(SIZE)
    sign.show()
    while not (found := [info for info in list_filters() if info.size]):
        time.sleep(0.1)
    before = bench.obs.ask("GetStats")["renderSkippedFrames"]
    shots = torn = styled = 0
    for _ in range(25):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(found[0].path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        until = time.monotonic() + 0.8 + random.random() * 0.5
        while time.monotonic() < until or process.poll() is not None:
            shots, torn, styled = looked_at(bench, shots, torn, styled)
        process.kill()
        process.wait()
        shots, torn, styled = looked_at(bench, shots, torn, styled)
    after = bench.obs.ask("GetStats")["renderSkippedFrames"]
    print(f"killed 25 times while writing: {shots} screenshots, {styled} of them of its pictures, "
          f"{torn} torn, {after - before} frames skipped", flush=True)  # fmt: skip
    sign.remove()


def looked_at(bench: Bench, shots: int, torn: int, styled: int) -> tuple[int, int, int]:
    shot: Pixels = bench.obs.shot("Noise")
    uniform = bool((shot == shot[0, 0]).all())
    is_torn = not uniform and not np.array_equal(shot, bench.plain)
    return shots + 1, torn + is_torn, styled + uniform


ROWS: dict[str, Callable[[Bench], None]] = {
    "idle": row_idle,
    "latency": row_latency,
    "ends": row_ends,
    "kills": row_kills,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", action="append", choices=list(ROWS))
    rows = parser.parse_args().row or list(ROWS)
    # As XDG_RUNTIME_DIR is: memory, and not a disk.
    folder = Path(tempfile.mkdtemp(prefix="bench-filter-", dir="/dev/shm"))
    script = folder / SCRIPT.name
    values = {"out": folder / "timed.txt", "script": SCRIPT}
    script.write_text(TIMED_SCRIPT % values, "utf-8")
    try:
        with (
            display.start(1280, 800) as screen,
            obs_with_filter(
                screen, folder / "home", script=script, size=(SIZE.width, SIZE.height)
            ) as obs,
        ):
            os.environ["XDG_RUNTIME_DIR"] = str(obs.run_folder)
            bench = Bench(obs, folder)
            time.sleep(2.0)
            for row in rows:
                ROWS[row](bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
