"""What the web server costs the live path, and how quickly it answers beside it.

    .venv/bin/python tests/benchmarks/bench_web.py [--seconds 20] [--port 8781]

A daemon runs as a user starts it, with the test pattern, a bundled generator and the stream. Each
part is measured twice in turn, without and with its load, since other programs on the machine
cost ticks too:

* 50 API calls a second (strength, status), beside a viewer of the stream: their times, and ticks
  missed by the sink.
* ten viewers of the stream, three of which read one picture a second: the sink's rate.
* a panel's preview and events beside it.

The callers are processes of their own, with a raised priority where that is allowed. The figures go
to stdout as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[2]
FPS = 30.0
CALLS_A_SECOND = 50
_SIZE = "1280x720"
_PROCESS_SIZE = "256x144"


def main() -> int:
    """Run all parts and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--port", type=int, default=8781)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-web-") as name, ExitStack() as stack:
        url = f"http://127.0.0.1:{chosen.port}"
        sink = ("--sink", f"http:{chosen.port}", "--process-size", _PROCESS_SIZE)
        daemon = start_daemon(Path(name), chosen.port, *sink)
        stack.callback(end, daemon)
        wait_until_styled(url)
        # For the processes that look on, too.
        os.environ["OBS_STYLIZER_TOKEN"] = token_in(Path(name))
        time.sleep(5)
        results: dict[str, Any] = {"load_average": os.getloadavg(), "cores": os.cpu_count()}
        results["api"] = measure_api(url, chosen.seconds)
        results["viewers"] = measure_viewers(url, chosen.seconds)
        results["panel"] = measure_panel(url, chosen.seconds)
        results["load_average_after"] = os.getloadavg()
    print(json.dumps(results, indent=2))
    return 0


def start_daemon(folder: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start a daemon with settings of its own and ``options``; its log is in ``daemon.log``."""
    settings = folder / "config.yaml"
    settings.write_text(f"web: {{port: {port}}}\nlisten_for_keys: false\n", "utf-8")
    command = [sys.executable, "-m", "obs_stylizer", "run", "--config", str(settings)]
    command += ["--source", "pattern", "--fps", f"{FPS:g}", "--size", _SIZE]
    command += ["--preset", "great-wave", *options]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    with (folder / "daemon.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)


def token_in(folder: Path) -> str:
    """The token that the daemon of :func:`start_daemon` has made."""
    return (folder / "obs-stylizer" / "token").read_text("utf-8").strip()


def end(daemon: subprocess.Popen[bytes]) -> None:
    """End it as Ctrl-C does."""
    daemon.terminate()
    daemon.wait(30)


def wait_until_styled(url: str) -> None:
    """Return when styled pictures are sent."""
    end_at = time.monotonic() + 120
    while time.monotonic() < end_at:
        try:
            if httpx.get(f"{url}/api/status").json().get("picture") == "styled":
                return
        except (httpx.TransportError, ValueError):
            pass
        time.sleep(0.2)
    sys.exit("the daemon does not go on air; see its log")


class Interval:
    """What the sink did between two readings of the statistics."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._before = self._read()

    def _read(self) -> dict[str, Any]:
        # The statistics are of the last second's mark: a fresh one is waited for.
        first = httpx.get(f"{self._url}/api/status").json()["uptime_s"]
        while True:
            status: dict[str, Any] = httpx.get(f"{self._url}/api/status").json()
            if status["uptime_s"] != first:
                return status
            time.sleep(0.02)

    def end(self) -> dict[str, float]:
        """Return frames a second sent, how many of them new, and ticks missed since then."""
        before, after = self._before, self._read()
        seconds = after["uptime_s"] - before["uptime_s"]
        sent, repeated = (after[key] - before[key] for key in ("sent", "repeated"))
        return {
            "sink_fps": round(sent / seconds, 3),
            "fresh_fps": round((sent - repeated) / seconds, 3),
            "missed_ticks": after["missed_ticks"] - before["missed_ticks"],
            "dropped_by_sink": after["sinks"][0]["dropped"] - before["sinks"][0]["dropped"],
        }


def beside(url: str, seconds: float, works: list[tuple[Callable[..., None], Any]]) -> Any:
    """Measure the sink for a while beside some processes."""
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    processes = [
        context.Process(target=work, args=(url, stopping, argument)) for work, argument in works
    ]
    for process in processes:
        process.start()
    time.sleep(3)
    interval = Interval(url)
    time.sleep(seconds)
    result = interval.end()
    stopping.set()
    for process in processes:
        process.join(20)
    return result


def measure_api(url: str, seconds: float) -> dict[str, Any]:
    """Time calls, 50 a second, beside one who watches the stream."""
    idle = beside(url, seconds, [(watch, 0.0)])
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    loaded = beside(url, seconds, [(watch, 0.0), (call, theirs)])
    times = sorted(ours.recv())
    return {
        "calls": len(times),
        "median_ms": round(1000 * times[len(times) // 2], 2),
        "p99_ms": round(1000 * times[int(0.99 * (len(times) - 1))], 2),
        "worst_ms": round(1000 * times[-1], 2),
        "sink_without_calls": idle,
        "sink_with_calls": loaded,
    }


def measure_viewers(url: str, seconds: float) -> dict[str, Any]:
    """The sink's rate without viewers, and with ten of which three are slow."""
    alone = beside(url, seconds, [])
    # In three processes, as the measuring machine has few cores for ten more.
    watched = beside(url, seconds, [(watch_all, (4, 0.0)), (watch_all, (3, 0.0)),
                                    (watch_all, (3, 1.0))])  # fmt: skip
    change = 100 * (watched["sink_fps"] / alone["sink_fps"] - 1)
    return {"alone": alone, "ten_viewers": watched, "change_percent": round(change, 2)}


def measure_panel(url: str, seconds: float) -> dict[str, Any]:
    """The sink's rate beside one panel: its preview, its events, its thumbnails."""
    alone = beside(url, seconds, [])
    watched = beside(url, seconds, [(show_panel, None)])
    change = 100 * (watched["sink_fps"] / alone["sink_fps"] - 1)
    return {"alone": alone, "one_panel": watched, "change_percent": round(change, 2)}


# What runs in processes of its own -------------------------------------------------------------


def watch(url: str, stopping: Event, pause: float, path: str = "/stream.mjpg") -> None:
    """Read a stream; with a pause, one picture and then nothing for so many seconds."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    known = f"Authorization: Bearer {os.environ['OBS_STYLIZER_TOKEN']}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{known}\r\n\r\n".encode())
    held = b""
    while not stopping.is_set():
        held += connection.recv(1 << 16)
        end_of_picture = held.rfind(b"\xff\xd9\r\n")
        if end_of_picture >= 0:
            held = held[end_of_picture + 4 :]
            time.sleep(pause)
    connection.close()


def watch_all(url: str, stopping: Event, viewers: tuple[int, float]) -> None:
    """Several viewers of the stream, each in a thread."""
    import threading

    count, pause = viewers
    threads = [threading.Thread(target=watch, args=(url, stopping, pause)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def call(url: str, stopping: Event, results: Any) -> None:
    """Call 50 times a second, and send home how long each took."""
    # Else the caller's own wait for a processor would be counted as the server's.
    with contextlib.suppress(OSError):
        os.nice(-15)
    times = []
    with httpx.Client(base_url=url, timeout=30) as client:
        client.get("/api/status")
        next_at = time.perf_counter()
        while not stopping.is_set():
            next_at += 1 / CALLS_A_SECOND
            time.sleep(max(0.0, next_at - time.perf_counter()))
            began = time.perf_counter()
            if len(times) % 2:
                client.get("/api/status").raise_for_status()
            else:
                strength = 0.5 + 0.01 * (len(times) % 50)
                client.post("/api/strength", json={"strength": strength}).raise_for_status()
            times.append(time.perf_counter() - began)
    results.send(times)


def show_panel(url: str, stopping: Event, _: None) -> None:
    """Do what an open panel does, less the drawing."""
    import threading

    viewer = threading.Thread(target=watch, args=(url, stopping, 0.0, "/preview.mjpg?view=pair"))
    viewer.start()
    with connect(url.replace("http", "ws") + "/api/events") as events, httpx.Client() as client:
        asked_at = 0.0
        while not stopping.is_set():
            events.recv(10)
            if time.monotonic() - asked_at > 15:
                asked_at = time.monotonic()
                known = {"Authorization": f"Bearer {os.environ['OBS_STYLIZER_TOKEN']}"}
                for preset in client.get(f"{url}/api/presets").json()["presets"]:
                    client.get(url + preset["thumbnail"], headers=known)
    viewer.join()


if __name__ == "__main__":
    sys.exit(main())
