"""A real OBS Studio on a screen that nobody sees, with a websocket server and two scenes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SCENES = ("Talking", "Break")

# OBS up to 29 reads the server's settings here, later ones in a file of its own.
GLOBAL = """[General]
FirstRun=true
LastVersion=486539266
EnableAutoUpdates=false
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false

[Basic]
Profile=Test
ProfileDir=Test
SceneCollection=Test
SceneCollectionFile=Test

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""

PROFILE = """[General]
Name=Test

[Video]
BaseCX=320
BaseCY=180
OutputCX=320
OutputCY=180
FPSType=1
FPSInt=10
"""


def missing() -> str:
    """What is needed for it and not here; "" if everything is."""
    return " and ".join(name for name in ("obs", "Xvfb") if shutil.which(name) is None)


@contextlib.contextmanager
def running(home: Path, display: str, port: int, password: str) -> Iterator[None]:
    """Run OBS with these settings until the block ends."""
    _configure(home / "obs-studio", port, password)
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    environment = {
        **os.environ,
        "DISPLAY": display,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_RUNTIME_DIR": str(runtime),
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "QT_QPA_PLATFORM": "xcb",
    }
    with (home / "obs.log").open("wb") as log:
        process = subprocess.Popen(
            ["obs", "--multi", "--profile", "Test", "--collection", "Test"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(port, process)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _configure(folder: Path, port: int, password: str) -> None:
    files = {
        "global.ini": GLOBAL.format(port=port, password=password),
        "basic/profiles/Test/basic.ini": PROFILE,
        "plugin_config/obs-websocket/config.json": json.dumps(
            {
                "alerts_enabled": False,
                "auth_required": True,
                "first_load": False,
                "server_enabled": True,
                "server_password": password,
                "server_port": port,
            }
        ),
        "basic/scenes/Test.json": json.dumps(
            {
                "name": "Test",
                "current_scene": SCENES[0],
                "current_program_scene": SCENES[0],
                "scene_order": [{"name": name} for name in SCENES],
                "sources": [
                    {"id": "scene", "name": name, "settings": {"id_counter": 0, "items": []}}
                    for name in SCENES
                ],
                "groups": [],
                "transitions": [],
                "modules": {},
            }
        ),
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"OBS ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError("OBS did not listen")
