"""What a soak run needs: a home with good and broken presets, the daemon, the fake camera."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from obs_stylizer.bench.clips import write_clip
from obs_stylizer.frames import FrameSize
from tests.fakes import killer_presets, models, shim

ROOT = Path(__file__).resolve().parents[2]
SIZE = FrameSize(320, 180)
FPS = 30
GOOD = ("invert", "identity", "plain")
KILLERS = (
    killer_presets.KILLS_LOADING,
    killer_presets.HANGS_LOADING,
    killer_presets.KILLS_RUNNING,
    killer_presets.HANGS_RUNNING,
    killer_presets.FAILS_RUNNING,
)
BROKEN = ("gone", "empty", "cut", "nan", "rank", "float")

_ANSWER_SECONDS = 10.0
_PIPE_BYTES = 1 << 20
_RUN = """
from obs_stylizer.daemon import supervisor
from tests.fakes.killer_presets import worker_with_killers
supervisor.worker_main = worker_with_killers
from obs_stylizer.cli.main import main
main()
"""


@dataclass
class Requests:
    """Every request that was sent, and whether it was answered in time."""

    url: str
    token: str
    seconds: list[float] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    def post(self, path: str, message: Mapping[str, object]) -> tuple[int, str]:
        """Send one and wait for the answer; (0, reason) if there is none."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps(message).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        return self._ask(request, f"{path} {message}")

    def get(self, path: str) -> tuple[int, str]:
        """Read one page."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._ask(urllib.request.Request(f"{self.url}{path}", headers=headers), path)

    def _ask(self, request: urllib.request.Request, what: str) -> tuple[int, str]:
        began = time.monotonic()
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
                code, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read().decode()
        except OSError as error:
            self.unanswered.append(f"{what}: {error} after {time.monotonic() - began:.1f} s")
            return 0, str(error)
        self.seconds.append(time.monotonic() - began)
        self.codes[code] = self.codes.get(code, 0) + 1
        return code, text

    def later(self, path: str, message: Mapping[str, object]) -> None:
        """Send one and go on; :meth:`wait` waits for the answer."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self.post, args=(path, message), daemon=True)
        thread.start()
        self._threads.append(thread)

    def wait(self) -> None:
        """Return when everything was answered, or should have been."""
        for thread in self._threads:
            thread.join(_ANSWER_SECONDS + 2)


class Camera:
    """Reads the fake virtual camera from outside and notes when each frame came."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Open for both, so that it neither waits nor ends when nobody writes.
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._pipe, True)
        self.came_at: list[float] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        length = SIZE.width * SIZE.height * 3 // 2
        have = 0
        while data := os.read(self._pipe, min(length - have, 1 << 16)):
            have += len(data)
            if have == length:
                have = 0
                self.came_at.append(time.monotonic())


class Stalls:
    """How late a thread of this process is that only ever sleeps: what the machine itself costs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(1 / FPS)
            self.seconds.append(time.monotonic() - before)


class Running:
    """The daemon under test, in a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.presets = folder / "config" / "obs-stylizer" / "presets"
        self.log = folder / "log.txt"
        self.clock = folder / "clock"
        self.port = _free_port()
        _fill(self)
        devices = folder / "devices"
        devices.mkdir()
        self.stalls = Stalls()
        self.camera = Camera(devices / "video40.frames")
        shim.throw_frames_away("/dev/video41", devices)
        self.second_camera = shim.ShimDevice("/dev/video41", devices)
        preload = f"{shim.build(folder)}:{_clock_shim(folder)}"
        environment = {
            **shim.environment(Path(preload), devices),
            "CLOCK_SHIM_FILE": str(self.clock),
            "PYTHONPATH": str(ROOT),
            **{
                f"XDG_{kind}_HOME": str(folder / kind.lower())
                for kind in ("CONFIG", "CACHE", "DATA", "STATE")
            },
        }
        self._log = self.log.open("wb")
        sinks = [f"--sink=virtual-camera:{device}" for device in shim.DEVICES]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, "run", *sinks, "--log-level", "debug"],
            cwd=folder,
            env=environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self.requests = Requests(f"http://127.0.0.1:{self.port}", "")
        self._wait_until_on_air()

    def _wait_until_on_air(self) -> None:
        token = self.folder / "config" / "obs-stylizer" / "token"
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if self.process.poll() is not None:
                sys.exit(f"the daemon ended at once:\n{self.log.read_text('utf-8')}")
            if token.exists() and self.camera.came_at:
                self.requests.token = token.read_text("utf-8").strip()
                with contextlib.suppress(OSError, ValueError):
                    code, text = self.requests.get("/api/status")
                    if code == 200 and json.loads(text)["preset"]:
                        self.requests.unanswered.clear()
                        return
            time.sleep(0.2)
        sys.exit(f"the daemon does not go on air:\n{self.log.read_text('utf-8')}")

    def status(self) -> dict[str, object]:
        """What ``ctl status`` says; empty if it does not answer."""
        code, text = self.requests.get("/api/status")
        return dict(json.loads(text)) if code == 200 else {}

    def members(self) -> list[psutil.Process]:
        """The daemon and all that it started."""
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def child(self, word: str) -> psutil.Process | None:
        """The first child whose command line has that word."""
        for child in self.members()[1:]:
            with contextlib.suppress(psutil.Error):
                if word in " ".join(child.cmdline()) and child.ppid() == self.process.pid:
                    return child
        return None

    def worker(self) -> psutil.Process | None:
        """The worker there is now."""
        worker = self.status().get("worker")
        pid = worker.get("pid") if isinstance(worker, dict) else 0
        with contextlib.suppress(psutil.Error):
            return psutil.Process(pid) if pid else None
        return None

    def end(self, seconds: float) -> int | None:
        """End it as Ctrl-C does; return the exit code, or None if it does not end."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def _fill(running: Running) -> None:
    """Make presets, models, pictures and clips, good ones and broken ones."""
    presets = running.presets
    presets.mkdir(parents=True)
    models.write_invert_model(presets / "invert.onnx")
    models.write_identity_model(presets / "identity.onnx")
    models.write_nan_model(presets / "nan.onnx")
    models.write_wrong_rank_model(presets / "rank.onnx")
    models.write_float_output_model(presets / "float.onnx")
    (presets / "empty.onnx").write_bytes(b"")
    whole = (presets / "invert.onnx").read_bytes()
    (presets / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    named = {"invert": "invert", "identity": "identity", **dict.fromkeys(KILLERS, "identity")}
    for name, model in {**named, **{name: name for name in BROKEN}}.items():
        write_preset(presets / f"{name}.yaml", name, model)
    (presets / "plain.yaml").write_text("title: Plain\n", "utf-8")
    grey = np.full((SIZE.height, SIZE.width, 3), 90, np.uint8)
    cv2.imwrite(str(running.folder / "grey.png"), grey)
    write_clip(running.folder / "clip.mp4", SIZE, FPS, 2)
    running.clock.write_text("0")
    (running.folder / "films").mkdir()
    settings = {
        "source": "pattern",
        "preset": "invert",
        "size": str(SIZE),
        "fps": FPS,
        "provider": "cpu",
        "threads": 1,
        "preload": False,
        # The camera is read past the driver that would tell of it.
        "sleep": "off",
        "worker": {"hang_seconds": 1.5, "load_seconds": 2.5, "start_seconds": 20},
        "recording": {"folder": str(running.folder / "films"), "container": "mkv"},
        "web": {"port": running.port},
    }
    (presets.parent / "config.yaml").write_text(json.dumps(settings), "utf-8")


def write_preset(path: Path, title: str, model: str) -> None:
    """Write a preset that works on small frames."""
    path.write_text(
        f"title: {title}\nmodel: ./{model}.onnx\nprocess_size: 160x96\ncrossfade_ms: 50\n", "utf-8"
    )


def _clock_shim(folder: Path) -> Path:
    library = folder / "clock_shim.so"
    source = ROOT / "tests" / "fakes" / "clock_shim.c"
    compiler = shim.compiler() or "cc"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def remove(folder: Path) -> None:
    """Take the home away again."""
    shutil.rmtree(folder, ignore_errors=True)
