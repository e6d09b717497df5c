"""The faults of a soak run: each is one thing that goes wrong, and takes a moment at most."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.benchmarks.soak_setup import BROKEN, GOOD, KILLERS, Running, write_preset

Fault = Callable[[Running, random.Random], None]

_BAD_DOCUMENTS = {
    "date": b"title: 2025-02-30\n",
    "alias": b"title: A\na: &x [*x]\n",
    "brackets": b"title: " + b"[" * 3000,
    "binary": bytes(range(256)) * 4,
    "keys": b"title: K\nmodle: invert\n",
    "range": b"title: R\nstrength: 7\n",
    "tag": b"!!python/object/apply:os.system ['true']\n",
    "empty": b"",
    "twice": b"title: A\ntitle: B\n",
}


def _signal(process: psutil.Process | None, number: int) -> None:
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def kill_worker(running: Running, dice: random.Random) -> None:
    _signal(running.worker(), dice.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))


def stop_worker(running: Running, _: random.Random) -> None:
    _signal(running.worker(), signal.SIGSTOP)


def kill_fork_server(running: Running, _: random.Random) -> None:
    _signal(running.child("forkserver"), signal.SIGKILL)


def stop_fork_server(running: Running, _: random.Random) -> None:
    _signal(running.child("forkserver"), signal.SIGSTOP)


def kill_tracker(running: Running, _: random.Random) -> None:
    _signal(running.child("resource_tracker"), signal.SIGKILL)


def stop_tracker(running: Running, _: random.Random) -> None:
    _signal(running.child("resource_tracker"), signal.SIGSTOP)


def kill_all_children(running: Running, _: random.Random) -> None:
    for child in running.members()[1:]:
        _signal(child, signal.SIGKILL)


def killing_preset(running: Running, dice: random.Random) -> None:
    running.requests.later("/api/preset", {"name": dice.choice(KILLERS)})


def killing_preset_ahead(running: Running, dice: random.Random) -> None:
    running.requests.later("/api/warm", {"name": dice.choice(KILLERS)})


def broken_preset(running: Running, dice: random.Random) -> None:
    running.requests.later("/api/preset", {"name": dice.choice([*BROKEN, "nobody"])})


def broken_then_good(running: Running, dice: random.Random) -> None:
    running.requests.later("/api/preset", {"name": dice.choice(BROKEN)})
    running.requests.later("/api/preset", {"name": dice.choice(GOOD)})


def good_preset(running: Running, dice: random.Random) -> None:
    running.requests.post("/api/preset", {"name": dice.choice(GOOD)})


def bad_document(running: Running, dice: random.Random) -> None:
    name, content = dice.choice(list(_BAD_DOCUMENTS.items()))
    path = running.presets / f"bad-{name}.yaml"
    path.write_bytes(content)
    running.requests.later("/api/preset", {"name": path.stem})
    _later(3.0, lambda: path.unlink(missing_ok=True))


def folder_in_a_preset_s_place(running: Running, _: random.Random) -> None:
    path = running.presets / "folder.yaml"
    path.mkdir(exist_ok=True)
    running.requests.later("/api/reload", {})
    _later(2.0, lambda: path.rmdir() if path.exists() else None)


def edited_preset(running: Running, dice: random.Random) -> None:
    path = running.presets / f"{dice.choice(GOOD[:2])}.yaml"
    write_preset(path, f"edited {dice.random():.3f}", path.stem)


def vanishing_preset(running: Running, dice: random.Random) -> None:
    path = running.presets / f"{dice.choice(GOOD)}.yaml"
    _vanish(path)


def vanishing_model(running: Running, dice: random.Random) -> None:
    _vanish(running.presets / f"{dice.choice(GOOD[:2])}.onnx")


def vanishing_source(running: Running, dice: random.Random) -> None:
    path = running.folder / dice.choice(["grey.png", "clip.mp4"])
    running.requests.later("/api/source", {"source": _spec(path)})
    _later(0.5, lambda: _vanish(path))


def vanishing_recordings(running: Running, _: random.Random) -> None:
    running.requests.later("/api/record", {"record": True})
    _later(0.7, lambda: _vanish(running.folder / "films"))
    _later(2.0, lambda: running.requests.later("/api/record", {"record": False}))


def source(running: Running, dice: random.Random) -> None:
    specs = ["pattern", _spec(running.folder / "grey.png"), _spec(running.folder / "clip.mp4")]
    running.requests.later("/api/source", {"source": dice.choice(specs)})


def missing_source(running: Running, dice: random.Random) -> None:
    specs = ["image:gone.png", "file:gone.mp4", "camera:77", "screen:9", "generator:nobody", "tea"]
    running.requests.later("/api/source", {"source": dice.choice(specs)})


def recording(running: Running, dice: random.Random) -> None:
    running.requests.later("/api/record", {"record": dice.random() < 0.5})


def snapshot(running: Running, _: random.Random) -> None:
    running.requests.later("/api/snapshot", {})


def switches(running: Running, dice: random.Random) -> None:
    word = dice.choice(["bypass", "freeze", "undo", "next", "previous"])
    message = {word: False} if word in ("bypass", "freeze") else {}
    running.requests.later(f"/api/{word}", message)


def flood(running: Running, dice: random.Random) -> None:
    for _ in range(60):
        running.requests.later("/api/strength", {"strength": round(dice.random(), 2)})


def flood_of_presets(running: Running, dice: random.Random) -> None:
    for _ in range(20):
        running.requests.later("/api/preset", {"name": dice.choice(GOOD)})


def junk(running: Running, dice: random.Random) -> None:
    lines = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /api/preset HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        bytes(dice.randrange(256) for _ in range(500)),
        b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
    ]
    with contextlib.suppress(OSError), _connect(running) as connection:
        connection.sendall(dice.choice(lines))
        connection.settimeout(0.5)
        connection.recv(1000)


def half_open(running: Running, dice: random.Random) -> None:
    pieces = [
        b"POST /api/preset HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{",
        b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"GET /preview.mjpg?view=pair HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]
    with contextlib.suppress(OSError):
        connection = _connect(running)
        connection.sendall(dice.choice(pieces))
        _later(5.0, connection.close)


def large_body(running: Running, _: random.Random) -> None:
    head = b"POST /api/preset HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3000000\r\n\r\n"
    with contextlib.suppress(OSError), _connect(running) as connection:
        connection.settimeout(2.0)
        connection.sendall(head)
        for _ in range(46):
            connection.sendall(b"x" * 65_536)


def clock_jump(running: Running, dice: random.Random) -> None:
    running.clock.write_text(str(dice.choice([-86_400, -3600, 0, 3600, 86_400, 10**8])))


def second_camera_vanishes(running: Running, dice: random.Random) -> None:
    state = dice.choice(["gone", "denied"])
    running.second_camera.set(state)
    _later(2.0, lambda: running.second_camera.unset(state))


FAULTS: dict[Fault, float] = {
    kill_worker: 2.0,
    stop_worker: 0.4,
    kill_fork_server: 0.5,
    stop_fork_server: 0.2,
    kill_tracker: 0.4,
    stop_tracker: 0.2,
    kill_all_children: 0.3,
    killing_preset: 1.0,
    killing_preset_ahead: 0.5,
    broken_preset: 2.0,
    broken_then_good: 1.0,
    good_preset: 3.0,
    bad_document: 2.0,
    folder_in_a_preset_s_place: 0.5,
    edited_preset: 1.0,
    vanishing_preset: 1.0,
    vanishing_model: 1.0,
    vanishing_source: 1.0,
    vanishing_recordings: 0.5,
    source: 1.5,
    missing_source: 1.5,
    recording: 1.0,
    snapshot: 1.0,
    switches: 2.0,
    flood: 0.7,
    flood_of_presets: 0.5,
    junk: 2.0,
    half_open: 1.5,
    large_body: 1.0,
    clock_jump: 0.7,
    second_camera_vanishes: 1.0,
}
"""How often each happens, in any proportion."""


def _later(seconds: float, act: Callable[[], object]) -> None:
    def wait() -> None:
        time.sleep(seconds)
        with contextlib.suppress(OSError):
            act()

    threading.Thread(target=wait, daemon=True).start()


def _vanish(path: Path) -> None:
    """Take a file or folder away, and put it back in a while."""
    hidden = path.with_name(f".{path.name}.hidden")
    with contextlib.suppress(OSError):
        if hidden.exists():
            return
        path.rename(hidden)
        _later(2.5, lambda: hidden.rename(path) if not path.is_dir() else None)


def _spec(path: Path) -> str:
    return f"{'file' if path.suffix == '.mp4' else 'image'}:{path}"


def _connect(running: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=2.0)
