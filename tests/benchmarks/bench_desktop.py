"""Measures screen, camera, hotkeys, sleep and restarts on a Wayland desktop that nobody sees.

    .venv/bin/python tests/benchmarks/bench_desktop.py [PART ...]

Parts: screen, hotkeys, readers, sleep, restarts; all of them without any. The desktop is that of
the tests: sway without a screen or a GPU, PipeWire, and real portals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from obs_stylizer.bench.clips import write_clip  # noqa: E402
from obs_stylizer.control.hotkeys.combination import Combination  # noqa: E402
from obs_stylizer.control.hotkeys.portal import PortalKeyboard  # noqa: E402
from obs_stylizer.daemon.app import Daemon  # noqa: E402
from obs_stylizer.daemon.options import DaemonOptions  # noqa: E402
from obs_stylizer.errors import SourceLostError  # noqa: E402
from obs_stylizer.frames import Frame, FrameSize  # noqa: E402
from obs_stylizer.portal.screencast import RestoreToken, Shared  # noqa: E402
from obs_stylizer.presets import PresetLibrary  # noqa: E402
from obs_stylizer.settings import preset_folders  # noqa: E402
from obs_stylizer.sinks.base import SinkFormat  # noqa: E402
from obs_stylizer.sinks.pipewire_camera import PipewireCameraSink  # noqa: E402
from obs_stylizer.sinks.spec import SinkSpec  # noqa: E402
from obs_stylizer.sources.base import SourceOptions  # noqa: E402
from obs_stylizer.sources.pipewire_camera import PipewireCameraSource  # noqa: E402
from obs_stylizer.sources.portal_screen import PortalScreenSource  # noqa: E402
from obs_stylizer.sources.spec import SourceSpec  # noqa: E402
from tests.benchmarks.camera_pages import read_with_chromium, read_with_firefox  # noqa: E402
from tests.fakes.wayland.desktop import HERE, WaylandDesktop, wayland_desktop  # noqa: E402
from tests.fakes.wayland.painter import (  # noqa: E402
    GREEN,
    RED,
    milliseconds_now,
    read_milliseconds,
)

SIZE = FrameSize(1280, 720)
SLEEP_SECONDS = 5.0
RESTARTS = 10
Result = dict[str, Any]


def main() -> None:
    """Print what was measured, as JSON."""
    parts: dict[str, Callable[[WaylandDesktop, Path], Result]] = {
        "screen": measure_screen,
        "hotkeys": measure_hotkeys,
        "readers": measure_readers,
        "sleep": measure_sleep,
        "restarts": measure_restarts,
    }
    chosen = sys.argv[1:] or list(parts)
    result: Result = {}
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        folder = Path(name)
        (folder / "d").mkdir()
        with wayland_desktop(folder / "d") as desktop:
            os.environ.pop("DISPLAY", None)
            os.environ.update(desktop.environment)
            for part in chosen:
                result[part] = parts[part](desktop, folder)
                print(part, json.dumps(result[part], indent=1), flush=True)


def measure_screen(desktop: WaylandDesktop, folder: Path) -> Result:
    """The rate, the delay and the cost of the screen, and its second start."""
    token = RestoreToken(folder / "screen.token")
    with painting(desktop, 30):
        source = PortalScreenSource(Shared.SCREEN, None, SourceOptions(fps=30), token)
        open_at_last(source)
        read_for(source, 2)
        began, used = time.monotonic(), time.process_time()
        ages, delays = read_for(source, 8)
        seconds = time.monotonic() - began
        cpu = (time.process_time() - used) / seconds
        source.close()
        again = time.monotonic()
        source.open()
        second_start = time.monotonic() - again
        source.close()
    return {
        "fps": round(len(ages) / seconds, 1),
        "capture to frame, ms": spread(ages),
        "painted to frame, ms": spread(delays),
        "cpu, % of a core": round(100 * cpu, 1),
        "second start, s": round(second_start, 3),
    }


def read_for(source: PortalScreenSource, seconds: float) -> tuple[list[float], list[float]]:
    """Read frames; return the age of each, and the time since it was painted, in ms."""
    ages, delays = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        frame = source.read(0.25)
        if frame is not None:
            ages.append(1000 * (time.perf_counter() - frame.captured_at))
            delays.append(float(milliseconds_now() - read_milliseconds(frame.pixels)))
    return ages, delays


class Ear:
    """Hears keys."""

    def __init__(self) -> None:
        self.works = threading.Event()
        self.pressed_at = 0.0
        self.heard = threading.Event()

    def pressed(self, combination: Combination) -> None:
        """Note the time."""
        self.pressed_at = time.perf_counter()
        self.heard.set()

    def released(self, combination: Combination) -> None:
        """Nothing is noted."""

    def listening(self, problems: object, trouble: str, triggers: object = None) -> None:
        """Note that it works."""
        if not trouble:
            self.works.set()


def measure_hotkeys(desktop: WaylandDesktop, folder: Path) -> Result:
    """From the stand-in for the desktop that presses a key to our listener."""
    ear = Ear()
    keyboard = PortalKeyboard(ear)
    keyboard.watch({Combination.parse("ctrl+alt+1"): "next"})
    keyboard.start()
    assert ear.works.wait(10)
    times = []
    for _ in range(50):
        ear.heard.clear()
        began = time.perf_counter()
        desktop.press("activate next")
        assert ear.heard.wait(5)
        times.append(1000 * (ear.pressed_at - began))
        desktop.press("deactivate next")
        time.sleep(0.05)
    keyboard.stop()
    return {"pressed to heard, ms": spread(times)}


def measure_readers(desktop: WaylandDesktop, folder: Path) -> Result:
    """What other programs see of our camera: their rate, and the colour of two halves."""
    result: Result = {"sent": {"left": RED, "right": GREEN}}
    with PipewireCameraSink() as sink:
        sink.open(SinkFormat(SIZE, 30))
        with feeding(sink):
            assert sink._node is not None
            path = f"path={sink._node.node_id}"
            command = ["gst-launch-1.0", "-q", "pipewiresrc", path, "num-buffers=300"]
            command += ["!", "video/x-raw", "!", "fakesink", "sync=false"]
            began = time.monotonic()
            subprocess.run(command, check=True, timeout=60)
            # Its own start is counted, too.
            result["gstreamer"] = {"fps": round(300 / (time.monotonic() - began), 1)}
            result["gstreamer"].update(colours_by_gstreamer(path, folder))
            result["chromium"] = read_with_chromium()
            result["firefox"] = read_with_firefox(folder)
    return result


def colours_by_gstreamer(path: str, folder: Path) -> Result:
    raw = folder / "frame.raw"
    command = ["gst-launch-1.0", "-q", "pipewiresrc", path, "num-buffers=3", "!", "videoconvert"]
    command += ["!", "video/x-raw,format=RGB", "!", "filesink", f"location={raw}"]
    subprocess.run(command, check=True, timeout=60)
    pixels = np.frombuffer(raw.read_bytes(), np.uint8)[-SIZE.nbytes :].reshape(SIZE.shape)
    return {"left": pixels[400, 100].tolist(), "right": pixels[400, 1200].tolist()}


@contextmanager
def feeding(sink: PipewireCameraSink) -> Iterator[None]:
    """Send two halves and a moving stripe, thirty times a second."""
    ending = threading.Event()

    def run() -> None:
        due = time.monotonic()
        number = 0
        while not ending.is_set():
            pixels = np.empty(SIZE.shape, np.uint8)
            pixels[:, :640], pixels[:, 640:] = RED, GREEN
            pixels[number * 4 % 300 :][:8] = 255
            sink.send(Frame(pixels, number, time.perf_counter()), repeated=False)
            number += 1
            due += 1 / 30
            time.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    yield
    ending.set()
    thread.join()


@contextmanager
def on_air(source: str, **changes: object) -> Iterator[Daemon]:
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    values: dict[str, Any] = {
        "source": SourceSpec.parse(source),
        "sinks": (SinkSpec.parse("pipewire-camera"),),
        "preset": "great-wave",
        "size": SIZE,
        "fps": 30.0,
        "preload": False,
        **changes,
    }
    with Daemon(DaemonOptions(**values), PresetLibrary(preset_folders())) as daemon:
        yield daemon


def shows(daemon: Daemon, picture: str) -> bool:
    return daemon.presenter is not None and daemon.presenter.picture == picture


def until(condition: Callable[[], object], seconds: float = 120) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, "waited in vain"
        time.sleep(0.002)
    return time.monotonic() - began


def reader() -> PipewireCameraSource:
    return PipewireCameraSource("obs-stylizer", SourceOptions(frame_size=SIZE, fps=30))


def measure_sleep(desktop: WaylandDesktop, folder: Path) -> Result:
    """The cost of sleep, and the times to wake and to fall asleep."""
    clip = folder / "clip.mp4"
    write_clip(clip, SIZE, 30, 5.0)
    result: Result = {}
    for source in ("pattern", f"file:{clip}"):
        with on_air(source, sleep_seconds=SLEEP_SECONDS) as daemon:
            with reader() as first:
                first.open()
                until(lambda: shows(daemon, "styled"))
            asleep = [until(lambda: shows(daemon, "asleep"))]
            time.sleep(2)
            cpu = cpu_of_all(10)
            wake = []
            for turn in range(5):
                with reader() as viewer:
                    began = time.monotonic()
                    viewer.open()
                    until(lambda: is_styled(viewer.read(0.25)))
                    wake.append(time.monotonic() - began)
                asleep.append(until(lambda: shows(daemon, "asleep")))
                time.sleep(0.5 + turn / 7)
            killed = killed_reader(daemon)
        result[source.partition(":")[0]] = {
            "asleep: cpu of all our processes, % of a core": round(cpu, 2),
            "viewer comes to first styled picture, s": spread(wake, 3),
            f"viewer leaves to asleep, s (set: {SLEEP_SECONDS:g})": spread(asleep, 2),
            "viewer killed to asleep, s": round(killed, 2),
        }
    return result


def is_styled(frame: Frame | None) -> bool:
    """Whether it is no standby picture, which is dark."""
    return frame is not None and float(frame.pixels.mean()) > 70


def killed_reader(daemon: Daemon) -> float:
    sink = next(iter(daemon._runners))._sink
    assert isinstance(sink, PipewireCameraSink)
    assert sink._node is not None
    command = ["gst-launch-1.0", "-q", "pipewiresrc", f"path={sink._node.node_id}"]
    with subprocess.Popen([*command, "!", "video/x-raw", "!", "fakesink"]) as gst:
        until(lambda: shows(daemon, "styled"))
        gst.kill()
    return until(lambda: shows(daemon, "asleep"))


def cpu_of_all(seconds: float) -> float:
    """Processor time of this process, which is the daemon, and its children, in % of a core."""
    own = psutil.Process()
    processes = [own, *own.children(recursive=True)]
    processes = [p for p in processes if p.pid == own.pid or "python" in p.name()]

    def used() -> float:
        return sum(p.cpu_times().user + p.cpu_times().system for p in processes)

    before = used()
    time.sleep(seconds)
    return 100 * (used() - before) / seconds


def measure_restarts(desktop: WaylandDesktop, folder: Path) -> Result:
    """Parts of the desktop killed and started again, with a daemon between screen and camera."""
    parts = {
        "portal": ["portal"],
        "pipewire": ["pipewire", "wireplumber", "wlr"],
        "compositor": ["sway", "proxy", "wlr"],
    }
    result: Result = {}
    with on_air("screen", standby_seconds=0.5, size=FrameSize(640, 360)) as daemon:
        for name, killed in parts.items():
            back = []
            before: tuple[int, int] | None = None
            for _ in range(RESTARTS + 1):
                with painting(desktop, 30):
                    until(lambda: shows(daemon, "styled"))
                    time.sleep(0.5)
                    if before is None:
                        before = handles(daemon)
                    desktop.kill(*killed)
                until(lambda: shows(daemon, "standby"))
                for one in killed:
                    desktop.start(one)
                os.environ.update(desktop.environment)
                with painting(desktop, 30):
                    back.append(until(lambda: shows(daemon, "styled")))
                    time.sleep(0.3)
            with painting(desktop, 30):
                until(lambda: shows(daemon, "styled"))
                time.sleep(1)
                after = handles(daemon)
            result[name] = {
                "times": RESTARTS + 1,
                "back after, s": spread(back, 2),
                "descriptors and threads before": before,
                "after": after,
            }
        result["worker restarts"] = daemon.supervisor.restarts
    return result


def handles(daemon: Daemon) -> tuple[int, int]:
    """Descriptors and threads of daemon and worker."""
    assert daemon.supervisor.pid is not None
    both = (psutil.Process(), psutil.Process(daemon.supervisor.pid))
    return sum(p.num_fds() for p in both), sum(p.num_threads() for p in both)


@contextmanager
def painting(desktop: WaylandDesktop, fps: float) -> Iterator[None]:
    command = [sys.executable, str(HERE / "painter.py"), *map(str, desktop.size), str(fps), "600"]
    environment = {**os.environ, **desktop.environment}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as painter:
        assert painter.stdout is not None
        painter.stdout.readline()
        try:
            yield
        finally:
            painter.kill()


def open_at_last(source: PortalScreenSource) -> None:
    while True:
        try:
            source.open()
        except SourceLostError:
            time.sleep(0.1)
        else:
            return


def spread(values: list[float], digits: int = 1) -> str:
    """Median and largest."""
    return f"{median(values):.{digits}f} (at most {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
