"""Measures what connects us with OBS with a real OBS Studio and a real daemon on this machine.

    .venv/bin/python tests/benchmarks/bench_obs.py
    .venv/bin/python tests/benchmarks/bench_obs.py --row scenes --row frame-time

OBS draws 1280x720 at 30 fps in software, so it takes a good part of the processor itself.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import logging
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from obs_stylizer.cli.presets import open_library  # noqa: E402
from obs_stylizer.control.commands import ApplyPreset  # noqa: E402
from obs_stylizer.control.obs.connection import Connection  # noqa: E402
from obs_stylizer.control.obs.setup import (  # noqa: E402
    INPUT_NAME,
    carry_out,
    make_plan,
    stream_feed,
)
from obs_stylizer.control.obs.visit import visit  # noqa: E402
from obs_stylizer.daemon.app import Daemon  # noqa: E402
from obs_stylizer.daemon.control_surfaces import control_surface_factories, open_server  # noqa: E402
from obs_stylizer.daemon.make_sink import make_sink  # noqa: E402
from obs_stylizer.daemon.options import DaemonOptions  # noqa: E402
from obs_stylizer.errors import ObsError  # noqa: E402
from obs_stylizer.frames import Frame, FrameSize  # noqa: E402
from obs_stylizer.settings import ObsSettings, Settings  # noqa: E402
from obs_stylizer.sinks.base import SinkFormat  # noqa: E402
from obs_stylizer.sinks.spec import SinkSpec  # noqa: E402
from obs_stylizer.sources.spec import SourceSpec  # noqa: E402
from obs_stylizer.web.token import read_or_make_token  # noqa: E402
from tests.fakes import display, real_obs  # noqa: E402
from tests.fakes.real_obs import SCENES, RealObs  # noqa: E402

SCRIPT = ROOT / "installer" / "obs" / "obs-stylizer.lua"
# Loads the script, and says at its end how long OBS was inside it.
TIMED_SCRIPT = """
local obs = obslua
local count, total, worst = 0, 0, 0
local function timed(call)
    return function(...)
        local began = obs.os_gettime_ns()
        call(...)
        local took = obs.os_gettime_ns() - began
        count, total, worst = count + 1, total + took, math.max(worst, took)
    end
end
local add, register = obs.timer_add, obs.obs_hotkey_register_frontend
obs.timer_add = function(call, milliseconds) add(timed(call), milliseconds) end
obs.obs_hotkey_register_frontend = function(name, title, call)
    return register(name, title, timed(call))
end
dofile("%s")
local unload = script_unload
function script_unload()
    unload()
    -- Not script_log: OBS 29 crashes if that is called here.
    local file = io.open("%s", "w")
    file:write(string.format("%%d %%.1f %%.1f", count, total / count / 1000, worst / 1000))
    file:close()
end
"""
SCENE_PRESETS = dict(zip(SCENES, ("great-wave", "scream", "starry-night"), strict=True))


def until(condition: Callable[[], object], timeout: float = 120.0) -> None:
    """Wait for something that another process does."""
    end = time.perf_counter() + timeout
    while not condition():
        if time.perf_counter() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.002)


def options(arguments: argparse.Namespace) -> DaemonOptions:
    """A daemon without a camera or a virtual one."""
    return DaemonOptions(
        source=SourceSpec.parse("pattern"),
        sinks=(SinkSpec.parse("null"),),
        preset="great-wave",
        size=FrameSize(1280, 720),
        fps=30.0,
        source_fps=30.0,
        process_size=FrameSize.parse(arguments.process_size),
    )


@contextmanager
def daemon_at(
    obs: RealObs, arguments: argparse.Namespace, port: int, scenes: dict[str, Any]
) -> Iterator[Daemon]:
    """A daemon with the OBS control surface and the panel, all presets loaded."""
    values = {"port": obs.port, "password": obs.password, "scenes": scenes, "enabled": True}
    settings = Settings.model_validate({"obs": values, "web": {"port": port}, "hotkeys": {}})
    folder = Path(tempfile.mkdtemp(prefix="bench-obs-"))
    factories = control_surface_factories(
        settings, folder / "config.yaml", open_server(settings.web)
    )
    with Daemon(options(arguments), open_library(), control_surfaces=factories) as daemon:
        until(lambda: daemon.controller.on_air.preloaded)
        time.sleep(2.0)
        yield daemon


def spread(milliseconds: list[float]) -> dict[str, Any]:
    """Median and tail of some times."""
    ordered = sorted(milliseconds)
    return {
        "count": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "worst_ms": round(ordered[-1], 1),
    }


def shown_at(daemon: Daemon, before: int) -> float:
    """Wait for the first frame of a request newer than ``before``; return when it was sent."""
    assert daemon.presenter is not None
    presenter = daemon.presenter
    found: list[float] = []

    def shown() -> bool:
        found[:] = [at for number, at in list(presenter.first_shown_at.items()) if number > before]
        return bool(found)

    until(shown, 20)
    return min(found)


def newest_request(daemon: Daemon) -> int:
    """Number of the newest request of which a frame was sent."""
    assert daemon.presenter is not None
    return max(daemon.presenter.first_shown_at, default=-1)


def switches(daemon: Daemon, count: int, switch: Callable[[int], None]) -> list[float]:
    """Milliseconds from each switch to the first frame sent in the new style."""
    times = []
    for turn in range(count):
        # At no fixed place within a frame of either program.
        time.sleep(0.45 + 0.0137 * (turn % 7))
        before = newest_request(daemon)
        began = time.perf_counter()
        switch(turn)
        times.append(1000 * (shown_at(daemon, before) - began))
    return times


def row_scenes(obs: RealObs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Scene changed in OBS → first frame in the new style sent."""
    scenes = {
        scene: {"preset": preset, "crossfade_ms": 0} for scene, preset in SCENE_PRESETS.items()
    }
    with (
        daemon_at(obs, arguments, real_obs.free_port(), scenes) as daemon,
        visit(ObsSettings(port=obs.port, password=obs.password)) as hand,
    ):

        def to(turn: int) -> None:
            hand.request("SetCurrentProgramScene", sceneName=SCENES[(turn + 1) % 3])

        to(-1)
        time.sleep(1)
        daemon.reset_statistics()
        result = spread(switches(daemon, arguments.count, to))
        path = daemon.statistics()
        return result | {
            "fps": path.fps["sink"],
            "missed_ticks": path.missed_ticks,
            "provider": f"{path.provider} {path.precision} {path.process_size}",
        }


def row_flood(obs: RealObs, arguments: argparse.Namespace) -> dict[str, Any]:
    """200 scene changes in 60 s: what was applied, whether the last is right, memory."""
    with (
        daemon_at(obs, arguments, real_obs.free_port(), dict(SCENE_PRESETS)) as daemon,
        visit(ObsSettings(port=obs.port, password=obs.password)) as hand,
    ):
        changes, seconds = 200, 60.0
        seen: set[int] = set()
        applied: list[str] = []

        def hear(control_event: Any) -> None:
            details = control_event.details
            if "request_id" in details.get("changed", ()) and details["request_id"] not in seen:
                seen.add(details["request_id"])
                applied.append(details["preset"])

        # Caches fill in the first seconds.
        for turn in range(30):
            hand.ask("SetCurrentProgramScene", sceneName=SCENES[(turn + 1) % 3])
            time.sleep(0.1)
        unsubscribe = daemon.event_bus.subscribe(hear)
        memory = sum(psutil.Process(pid).memory_info().rss for pid in daemon.pids()) / 1e6
        daemon.reset_statistics()
        began = time.perf_counter()
        for turn in range(changes):
            hand.ask("SetCurrentProgramScene", sceneName=SCENES[(turn + 1) % 3])
            time.sleep(max(0.0, began + (turn + 1) * seconds / changes - time.perf_counter()))
        time.sleep(1.0)
        unsubscribe()
        after = sum(psutil.Process(pid).memory_info().rss for pid in daemon.pids()) / 1e6
        path = daemon.statistics()
        last = SCENE_PRESETS[SCENES[changes % 3]]
        return {
            "changes": changes,
            "seconds": round(time.perf_counter() - began - 1.0, 1),
            "applied": len(applied),
            "overtaken": changes - len(applied),
            "last_right": daemon.controller.on_air.preset == last,
            "memory_mb_before": round(memory),
            "memory_mb_after": round(after),
            "missed_ticks": path.missed_ticks,
            "fps": path.fps["sink"],
        }


def row_script_hotkey(obs: RealObs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Hotkey of the OBS script pressed → first frame in the new style sent."""
    port = real_obs.free_port()
    obs.end()
    obs.scripts = [(SCRIPT, {"address": f"127.0.0.1:{port}"})]
    obs.configure()
    obs.start()
    presets = list(SCENE_PRESETS.values())
    with (
        daemon_at(obs, arguments, port, {}) as daemon,
        visit(ObsSettings(port=obs.port, password=obs.password)) as hand,
    ):
        daemon.controller.send(ApplyPreset(presets[0], crossfade_ms=0)).result(10)
        until(lambda: f"obs_stylizer.preset.{presets[2]}" in str(hand.ask("GetHotkeyList")), 30)

        def press(turn: int) -> None:
            name = f"obs_stylizer.preset.{presets[(turn + 1) % 3]}"
            hand.request("TriggerHotkeyByName", hotkeyName=name)

        return spread(switches(daemon, arguments.count, press))


def row_frame_time(obs: RealObs, arguments: argparse.Namespace) -> dict[str, Any]:
    """OBS's own frame time without the script, and with it beside no, a hung and a slow daemon.

    Also, in microseconds, how long OBS is inside the script at a turn.
    """
    results = {}
    timed, cost = obs.home / "timed.lua", obs.home / "cost"
    timed.write_text(TIMED_SCRIPT % (SCRIPT, cost), "utf-8")
    for name in ("no script", "absent", "hung", "slow", "no script again"):
        obs.end()
        with daemon_like(name) as port:
            loaded = not name.startswith("no script")
            obs.scripts = [(timed, {"address": f"127.0.0.1:{port}"})] if loaded else []
            obs.configure()
            obs.start()
            time.sleep(5.0)
            with visit(ObsSettings(port=obs.port, password=obs.password)) as hand:
                results[name] = frame_times(hand, arguments.seconds, press=loaded)
            obs.end()
            if loaded:
                told = map(float, cost.read_text("utf-8").split())
                results[name] |= dict(zip(("turns", "mean_us", "worst_us"), told, strict=True))
    return results


def frame_times(hand: Connection, seconds: float, *, press: bool) -> dict[str, float]:
    """Mean of OBS's frame times, and frames that came late, while hotkeys are pressed."""
    before = hand.ask("GetStats")
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if press:
            hand.ask("TriggerHotkeyByName", hotkeyName="obs_stylizer.next")
        time.sleep(0.25)
        times.append(hand.ask("GetStats")["averageFrameRenderTime"])
    after = hand.ask("GetStats")
    return {
        "frame_ms": round(statistics.mean(times), 2),
        "worst_ms": round(max(times), 2),
        "late": after["renderSkippedFrames"] - before["renderSkippedFrames"],
        "of": after["renderTotalFrames"] - before["renderTotalFrames"],
    }


@contextmanager
def daemon_like(name: str) -> Iterator[int]:
    """A port at which a daemon is absent, hung or slow."""
    if name not in ("hung", "slow"):
        yield real_obs.free_port()
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopping = threading.Event()

        def drip() -> None:
            listener.settimeout(0.2)
            held: list[socket.socket] = []
            while not stopping.is_set():
                with suppress(TimeoutError):
                    held.append(listener.accept()[0])
                for connected in held:
                    try:
                        connected.send(b"H")
                    except OSError:
                        held.remove(connected)
                        break
            for connected in held:
                connected.close()

        thread = threading.Thread(target=drip)
        if name == "slow":
            thread.start()
        yield int(listener.getsockname()[1])
        stopping.set()
        if name == "slow":
            thread.join()


def row_stream(obs: RealObs, arguments: argparse.Namespace) -> dict[str, Any]:
    """Frame sent into the HTTP stream → seen in OBS's media source, as ``obs setup`` makes it."""
    port = real_obs.free_port()
    size = FrameSize(640, 360)
    pictures = [np.full(size.shape, colour, np.uint8) for colour in ((220, 20, 20), (20, 20, 220))]
    shown = [0]
    stopping = threading.Event()

    def send() -> None:
        with make_sink(SinkSpec.parse(f"http:{port}")) as sink:
            sink.open(SinkFormat(size, 30.0))
            due = time.perf_counter()
            for number in itertools.count():
                if stopping.is_set():
                    return
                frame = Frame(pictures[shown[0]], number, time.perf_counter())
                sink.send(frame, repeated=False)
                due += 1 / 30
                time.sleep(max(0.0, due - time.perf_counter()))

    thread = threading.Thread(target=send)
    thread.start()
    times = []
    try:
        with visit(ObsSettings(port=obs.port, password=obs.password)) as hand:
            carry_out(hand, make_plan(hand, stream_feed(port, read_or_make_token())))
            until(lambda: sum(colour_in(hand)) > 50, 30)
            for turn in range(arguments.count):
                time.sleep(0.45 + 0.0137 * (turn % 7))
                began = time.perf_counter()
                shown[0] = 1 - shown[0]
                until(lambda: (colour_in(hand)[0] > colour_in(hand)[2]) == bool(shown[0]), 30)
                times.append(1000 * (time.perf_counter() - began))
    finally:
        stopping.set()
        thread.join()
    tenth = max(1, len(times) // 10)
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    return spread(times) | {"first_ms": round(first, 1), "last_ms": round(last, 1)}


def colour_in(hand: Connection) -> list[float]:
    """Mean colour of our input as OBS sees it: blue, green, red; black before its first frame."""
    asked = {"sourceName": INPUT_NAME, "imageFormat": "png", "imageWidth": 16}
    try:
        data = hand.ask("GetSourceScreenshot", **asked)["imageData"]
    except ObsError:
        # Before its first frame it has no size.
        return [0.0, 0.0, 0.0]
    raw = np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8)
    picture = cv2.imdecode(raw, cv2.IMREAD_COLOR)
    return [float(value) for value in picture.mean((0, 1))]


ROWS: dict[str, Callable[[RealObs, argparse.Namespace], dict[str, Any]]] = {
    "scenes": row_scenes,
    "flood": row_flood,
    "script-hotkey": row_script_hotkey,
    "frame-time": row_frame_time,
    "stream": row_stream,
}


def main() -> int:
    """Run the rows that were asked for, and print what they found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--row", action="append", choices=list(ROWS), help="only this one")
    parser.add_argument("--count", type=int, default=50, help="switches of each kind")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each frame time")
    parser.add_argument("--process-size", default="256x144", help="of the generator")
    arguments = parser.parse_args()
    absent = real_obs.missing()
    if absent:
        sys.exit(f"{absent} not installed: apt install obs-studio xvfb")
    logging.basicConfig(level=logging.WARNING)
    for name in arguments.row or ROWS:
        with (
            tempfile.TemporaryDirectory(prefix="bench-obs-") as folder,
            display.start(1280, 800) as screen,
        ):
            obs = RealObs(Path(folder), screen.name, size=(1280, 720))
            obs.configure()
            obs.start()
            try:
                print(name, json.dumps(ROWS[name](obs, arguments), indent=2), flush=True)
            finally:
                obs.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
