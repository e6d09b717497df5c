"""Measures hotkeys and ``obs-stylizer ctl`` with the real daemon, under an X server of its own.

    .venv/bin/python tests/benchmarks/bench_hotkeys.py

The keys are sent through X's own test extension, as xdotool does, and timed from the moment in
which they leave; the picture counts as changed when the first frame in the new style was sent.
Both styles are loaded, and there is no crossfade, so that this frame is wholly another.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from Xlib import XK, X  # noqa: E402
from Xlib.display import Display  # noqa: E402

from obs_stylizer.bench.setup import wait_for  # noqa: E402
from obs_stylizer.daemon.app import Daemon  # noqa: E402
from obs_stylizer.daemon.control_surfaces import control_surface_factories, open_server  # noqa: E402
from obs_stylizer.daemon.options import DaemonOptions  # noqa: E402
from obs_stylizer.frames import FrameSize  # noqa: E402
from obs_stylizer.presets import PresetLibrary  # noqa: E402
from obs_stylizer.settings import Settings, WebSettings, config_file  # noqa: E402
from obs_stylizer.sinks.spec import SinkSpec  # noqa: E402
from obs_stylizer.sources.spec import SourceSpec  # noqa: E402
from tests.fakes import display  # noqa: E402

PORT = 8774
STYLES = ("great-wave", "starry-night")


def main() -> None:
    """Print what was measured, as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--presses", type=int, default=50)
    options.add_argument("--process-size", default="256x144")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-hotkeys-") as name:
        home = Path(name)
        os.environ.update({f"XDG_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE")})
        os.environ.pop("WAYLAND_DISPLAY", None)
        os.environ.pop("XDG_SESSION_TYPE", None)
        with display.start(320, 240) as screen:
            os.environ["DISPLAY"] = screen.name
            result = measure(home, screen.name, chosen.presses, chosen.process_size)
    print(json.dumps(result, indent=2))


def measure(home: Path, screen: str, presses: int, process_size: str) -> dict[str, object]:
    """Press keys and start commands; returns the figures."""
    keys = Display(screen)
    with on_air(home, process_size) as daemon:
        hotkey = times(daemon, presses, lambda style: press(keys, style))
        command = times(daemon, max(5, presses // 2), ctl)
        statistics = daemon.statistics()
    keys.close()
    return {
        "hotkey_to_first_changed_frame_ms": hotkey,
        "ctl_to_first_changed_frame_ms": command,
        "worker_fps": statistics.fps["worker"],
        "missed_ticks": statistics.missed_ticks,
        "ticks_late_p99_ms": statistics.late_ms.p99,
        "runs": f"{statistics.provider} {statistics.precision} at {statistics.process_size}",
        "load_of_the_machine": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


@contextmanager
def on_air(home: Path, process_size: str) -> Iterator[Daemon]:
    """A daemon with two presets that were both shown, and every control surface."""
    presets = home / "presets"
    presets.mkdir()
    for number, style in enumerate(STYLES, 1):
        text = f"title: {style}\nmodel: paintings\nstyles: {{{style}: 1}}\n"
        keys = f"hotkey: ctrl+alt+{number}\ncrossfade_ms: 0\n"
        (presets / f"{style}.yaml").write_text(text + keys, "utf-8")
    settings = Settings(web=WebSettings(port=PORT))
    server = open_server(settings.web)
    options = DaemonOptions(
        source=SourceSpec.parse("pattern"),
        sinks=(SinkSpec.parse("null"),),
        preset=STYLES[0],
        size=FrameSize(1280, 720),
        process_size=FrameSize.parse(process_size),
        fps=30.0,
    )
    factories = control_surface_factories(settings, config_file(), server)
    with Daemon(
        options, PresetLibrary([presets]), control_surfaces=factories, server=server
    ) as daemon:
        wait_for(daemon, lambda: daemon.controller.on_air.preloaded, 120)
        for _ in range(2):
            for style in reversed(STYLES):
                ctl(style)
                wait_for(daemon, lambda style=style: daemon.controller.on_air.preset == style)
        time.sleep(3)
        daemon.reset_statistics()
        yield daemon


def times(daemon: Daemon, count: int, act: Callable[[str], float]) -> dict[str, float]:
    """Milliseconds from each action until the first frame of its style was sent."""
    assert daemon.presenter is not None
    shown = daemon.presenter.first_shown_at
    taken = []
    for number in range(count):
        style = STYLES[(number + 1) % 2]
        before = daemon.controller.on_air.request_id
        # At no fixed place between two frames.
        time.sleep(random.uniform(0.3, 0.4))
        began = act(style)
        wait_for(daemon, lambda before=before: daemon.controller.on_air.request_id != before, 20)
        request_id = daemon.controller.on_air.request_id
        assert daemon.controller.on_air.preset == style
        wait_for(daemon, lambda request_id=request_id: request_id in shown, 20)
        taken.append(1000 * (shown[request_id] - began))
    taken.sort()
    return {
        "median": round(median(taken), 1),
        "p95": round(taken[int(0.95 * (len(taken) - 1))], 1),
        "worst": round(taken[-1], 1),
        "count": count,
    }


def press(keys: Display, style: str) -> float:
    """Press the hotkey of a style; returns when that was."""
    symbols = (XK.XK_Control_L, XK.XK_Alt_L, XK.XK_1 + STYLES.index(style))
    codes = [keys.keysym_to_keycode(symbol) for symbol in symbols]
    began = time.perf_counter()
    for kind, order in ((X.KeyPress, codes), (X.KeyRelease, codes[::-1])):
        for code in order:
            keys.xtest_fake_input(kind, code)
        keys.flush()
    return began


def ctl(style: str) -> float:
    """Run the command that a desktop's shortcut would; returns when it was started."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "obs_stylizer", "ctl", "--address", f":{PORT}"]
    subprocess.run([*command, "preset", style], check=True, capture_output=True)
    return began


if __name__ == "__main__":
    main()
