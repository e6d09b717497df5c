"""A real OBS whose filter script notes when it drew what, and a real daemon beside it.

Started as real-time processes (``chrt -r 30``) they are shielded from other programs: the daemon's
worker, too, which else leaves that class. OBS goes ahead of it: what OBS draws in software here, a
GPU would draw elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import psutil

from obs_stylizer.clock import ManualClock
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceKind, SourceSpec
from tests.fakes import display
from tests.fakes.real_obs import SCENES
from tests.installer.filter_in_obs import KIND, SCRIPT, Obs, obs_with_filter

ROOT: Final = Path(__file__).resolve().parents[2]
SIZE: Final = FrameSize(640, 360)
FPS: Final = 30
BITS: Final = 10
SETTLE_SECONDS: Final = 8.0
STALL_SECONDS: Final = 0.015
STRIP: Final = 16
"""Rows at the top of a clip whose alpha tells the frame's number, a bit in each of BITS cells."""
HURRIED_NICE: Final = -15
"""Nice value below which a thread of the worker asked to go ahead of the others."""

# Loads the script with clocks around what it calls, and writes a line for each frame.
_TIMED_SCRIPT = """
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
-- The script draws an answer from its texture, and a plain picture from anything else.
local register, file, made = obs.obs_register_source, io.open("%(out)s", "w"), 0
obs.obs_register_source = function(info)
    local render, create = info.video_render, info.create
    info.create = function(...)
        local it = create(...)
        made = made + 1
        it.number = made
        return it
    end
    info.video_render = function(it)
        local frame, began = it.frame, clock()
        drawn = 0
        render(it)
        local took = clock() - began - drawn
        if it.frame ~= frame then
            file:write(string.format("%%d %%d %%d %%d %%d\\n", it.number, began, took,
                it.is_styled and it.frame - it.shown or -1, it.is_styled and it.shown or -1))
            file:flush()
        end
    end
    register(info)
end
dofile("%(script)s")
"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A frame that OBS drew a filter in.

    Attributes:
        number: of the filter, from 1.
        at: when, in seconds of the monotonic clock.
        took: seconds in the script but for drawing.
        latency: frames of OBS that the answer shown is late; -1 for the plain picture.
        shown: number of the frame whose answer is shown.
    """

    number: int
    at: float
    took: float
    latency: int
    shown: int

    @property
    def is_styled(self) -> bool:
        """Whether an answer is shown."""
        return self.latency >= 0


class Rig:
    """OBS with the timed script, and what it noted."""

    def __init__(self, obs: Obs, folder: Path) -> None:
        self.obs = obs
        self.folder = folder
        self._notes = (folder / "timed.txt").open()
        self._rest = ""

    def noted(self) -> list[Drawn]:
        """Return the frames since the last call."""
        *lines, self._rest = (self._rest + self._notes.read()).split("\n")
        found = []
        for line in lines:
            number, at, took, latency, shown = map(int, line.split())
            found.append(Drawn(number, at / 1e9, took / 1e9, latency, shown))
        return found

    def watch(self, seconds: float) -> tuple[list[Drawn], int, int]:
        """Return the frames of that time, and how many of its frames OBS skipped and drew."""
        self.noted()
        before = self.obs.ask("GetStats")
        time.sleep(seconds)
        after = self.obs.ask("GetStats")
        skipped, drawn = (
            after[name] - before[name] for name in ("renderSkippedFrames", "renderTotalFrames")
        )
        return self.noted(), skipped, drawn

    def first(self, since: float, *, styled: bool, most: float = 60.0) -> float:
        """Return seconds from a moment to the first frame after it that is styled, or plain."""
        until = time.monotonic() + most
        while time.monotonic() < until:
            for drawn in self.noted():
                if drawn.at > since and drawn.is_styled == styled:
                    return drawn.at - since
            time.sleep(0.02)
        return float("nan")

    def styled_for(self, seconds: float, most: float = 120.0) -> None:
        """Return once only styled frames were drawn for that long.

        Raises:
            TimeoutError: that did not happen.
        """
        until = time.monotonic() + most
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(0.1)
            noted = self.noted()
            if not noted or not all(drawn.is_styled for drawn in noted):
                began = time.monotonic()
            if time.monotonic() > until:
                raise TimeoutError("no styled picture is shown")

    def settle(self) -> None:
        """Return once it is styled and the daemon has found out what it can do in time."""
        self.styled_for(0.5)
        time.sleep(SETTLE_SECONDS)

    def show_clip(self, name: str, clip: Path, scene: str = SCENES[0]) -> None:
        """Add a clip that runs for ever to a scene."""
        values = {"local_file": str(clip), "looping": True, "hw_decode": False}
        shown = {"inputName": name, "inputKind": "ffmpeg_source", "inputSettings": values}
        self.obs.ask("CreateInput", sceneName=scene, **shown)

    def put_filter(self, source: str, preset: str = "") -> None:
        """Put our filter on a source."""
        settings = {"preset": preset} if preset else {}
        one = {"sourceName": source, "filterName": "style", "filterKind": KIND}
        self.obs.ask("CreateSourceFilter", **one, filterSettings=settings)

    @contextmanager
    def daemon(self, *options: str, source: str = "obs-filter") -> Iterator[DaemonProcess]:
        """Run one, with a null sink."""
        running = DaemonProcess(self.folder, source, *options)
        try:
            yield running
        finally:
            running.kill()


class DaemonProcess:
    """A daemon in a process group of its own."""

    def __init__(self, folder: Path, source: str, *options: str) -> None:
        config = folder / "config"
        (config / "obs-stylizer").mkdir(parents=True, exist_ok=True)
        (config / "obs-stylizer" / "config.yaml").write_text(
            "web: {enabled: false}\npreload: false\n"
        )
        self._stats = folder / "stats"
        self._stats.unlink(missing_ok=True)
        command = [sys.executable, "-m", "obs_stylizer", "run", "--source", source]
        command += ["--sink", "null", "--size", str(SIZE), "--stats", str(self._stats)]
        own, real_time = os.sched_getparam(0).sched_priority, os.sched_getscheduler(0) != 0
        if real_time:
            command = ["chrt", "-r", str(own - 3), *command]
        self.started = time.monotonic()
        with (folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options],
                env={**os.environ, "XDG_CONFIG_HOME": str(config), "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if real_time:
            threading.Thread(target=self._shield, args=(own - 3,), daemon=True).start()

    def _shield(self, priority: int) -> None:
        """Thread: keep the worker's threads real-time ones, and those in a hurry a step above."""
        while self.process.poll() is None:
            with suppress(psutil.Error, OSError, ValueError):
                for thread in Path(f"/proc/{self.worker()}/task").iterdir():
                    number = int(thread.name)
                    if os.sched_getscheduler(number) == os.SCHED_OTHER:
                        hurries = os.getpriority(os.PRIO_PROCESS, number) < HURRIED_NICE
                        parameter = os.sched_param(priority + hurries)
                        os.sched_setscheduler(number, os.SCHED_RR, parameter)
            time.sleep(0.2)

    def signal(self, number: int) -> float:
        """Send a signal to all of it; return when that was done."""
        os.killpg(self.process.pid, number)
        return time.monotonic()

    def kill(self) -> float:
        """End it without notice; return when that was done."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        now = time.monotonic()
        self.process.wait()
        return now

    def stats(self) -> dict[str, Any]:
        """What it wrote last."""
        found: dict[str, Any] = json.loads(self._stats.read_text())
        return found

    def worker(self) -> int:
        """Process number of its worker: the child that has the generator's threads."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return max(children, key=lambda child: child.memory_info().rss).pid


class Stalls:
    """Notes when a processor was kept from this program for long.

    Linux does so, 50 ms a second, where real-time programs leave no time for others.
    """

    def __init__(self) -> None:
        self._found: list[float] = []
        for processor in os.sched_getaffinity(0):
            threading.Thread(target=self._look, args=(processor,), daemon=True).start()

    def _look(self, processor: int) -> None:
        os.sched_setaffinity(0, {processor})
        while True:
            before = time.monotonic()
            time.sleep(0.002)
            now = time.monotonic()
            if now - before > STALL_SECONDS:
                self._found.append(now)

    def is_after_one(self, drawn: Drawn) -> bool:
        """Whether a processor stood still in the quarter of a second before a frame."""
        return any(drawn.at - 0.25 < at < drawn.at + 0.05 for at in list(self._found))


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Start OBS with the timed script in a folder in memory."""
    script = folder / SCRIPT.name
    values = {"out": folder / "timed.txt", "script": SCRIPT}
    script.write_text(_TIMED_SCRIPT % values, "utf-8")
    size = (SIZE.width, SIZE.height)
    with (
        display.start(1280, 800) as screen,
        obs_with_filter(screen, folder / "home", script=script, size=size) as obs,
    ):
        os.environ["XDG_RUNTIME_DIR"] = str(obs.run_folder)
        time.sleep(2.0)
        yield Rig(obs, folder)


def write_numbered_clip(path: Path, size: FrameSize, seconds: float) -> None:
    """Write the moving test pattern, each frame's number in the alpha of its top rows (QuickTime).

    An answer carries its frame's own alpha, whatever was made of its colours.
    """
    options = SourceOptions(frame_size=size, fps=FPS, paced=False, clock=ManualClock())
    with (
        make_source(SourceSpec(SourceKind.PATTERN), options) as source,
        av.open(str(path), "w") as container,
    ):
        source.open()
        stream = container.add_stream("qtrle", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "argb"
        for number in range(round(FPS * seconds)):
            frame = source.read(1.0)
            if frame is None:
                continue
            argb = np.full((size.height, size.width, 4), 255, np.uint8)
            argb[..., 1:] = frame.pixels
            argb[:STRIP, :, 0] = alpha_of(number, size.width)
            picture = av.VideoFrame.from_ndarray(argb, format="argb")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def alpha_of(number: int, width: int) -> Pixels:
    """Return the alpha of a row that tells a number: uint8 (width,)."""
    bits = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.repeat(np.array(bits, np.uint8), -(-width // BITS))[:width]


def number_in(rows: Pixels, backdrop: tuple[int, int, int]) -> int:
    """Read the number of a strip that was laid over a colour.

    Args:
        rows: uint8 (rows, width, 3), RGB.
        backdrop: colour behind; it is seen where a bit is 0.
    """
    height, width = rows.shape[:2]
    middle = rows[height // 4 : -height // 4]
    number = 0
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        cell = middle[:, left + 8 : right - 8].reshape(-1, 3).mean(axis=0)
        number |= (np.abs(cell - backdrop).max() > 40) << bit
    return number
