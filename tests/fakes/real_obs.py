"""A real OBS Studio, on a screen that nobody sees, that can be ended, killed and started again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCENES = ("Talking", "Gaming", "Break")
SOUND = "Microphone"
LABEL = "Label"
PASSWORD = "so-very-secret"

_START_SECONDS = 60.0
_END_SECONDS = 10.0

# OBS up to 29 reads the server's settings here, later ones in a file of its own.
_GLOBAL = """[General]
FirstRun=true
LastVersion=486539266
EnableAutoUpdates=false
ConfirmOnExit=false
Pre19Defaults=false
Pre21Defaults=false
Pre23Defaults=false
Pre24.1Defaults=false

[Basic]
Profile=Test
ProfileDir=Test
SceneCollection=Test
SceneCollectionFile=Test
ConfigOnNewProfile=false

[BasicWindow]
SysTrayEnabled=false
WarnBeforeStoppingStream=false

[OBSWebSocket]
FirstLoad=false
ServerEnabled=true
ServerPort={port}
AlertsEnabled=false
AuthRequired=true
ServerPassword={password}
"""

_PROFILE = """[General]
Name=Test

[Video]
BaseCX={width}
BaseCY={height}
OutputCX={width}
OutputCY={height}
FPSType=1
FPSInt={fps}
"""


def missing() -> str:
    """What is needed for it and not here; "" if everything is."""
    return " and ".join(name for name in ("obs", "Xvfb") if shutil.which(name) is None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class RealObs:
    """OBS with three scenes, an input that has sound and one that shows text.

    Attributes:
        scripts: of its Tools menu, each with its settings.
        prefix: put before its command.
        ended_well: for each time it ended, whether it neither crashed nor had to be killed.
    """

    home: Path
    display: str
    port: int = field(default_factory=free_port)
    password: str = PASSWORD
    fps: int = 30
    size: tuple[int, int] = (320, 180)
    scripts: Sequence[tuple[Path, dict[str, Any]]] = ()
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    ended_well: list[bool] = field(default_factory=list)

    def configure(self) -> None:
        """Write all its settings anew."""
        folder = self.home / "obs-studio"
        width, height = self.size
        websocket = {
            "alerts_enabled": False,
            "auth_required": True,
            "first_load": False,
            "server_enabled": True,
            "server_password": self.password,
            "server_port": self.port,
        }
        files = {
            "global.ini": _GLOBAL.format(port=self.port, password=self.password),
            "basic/profiles/Test/basic.ini": _PROFILE.format(
                width=width, height=height, fps=self.fps
            ),
            "plugin_config/obs-websocket/config.json": json.dumps(websocket),
            "basic/scenes/Test.json": json.dumps(self._collection()),
        }
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (self.home / "run").mkdir(mode=0o700, exist_ok=True)

    def _collection(self) -> dict[str, Any]:
        items = [
            {"name": name, "id": n + 1, "visible": True} for n, name in enumerate((SOUND, LABEL))
        ]
        sources: list[dict[str, Any]] = [
            {"id": "ffmpeg_source", "name": SOUND, "settings": {}, "sync": 40_000_000},
            {"id": "text_ft2_source_v2", "name": LABEL, "settings": {"text": "nothing yet"}},
        ]
        for name in SCENES:
            mine = items if name == SCENES[0] else []
            settings = {"id_counter": len(mine), "items": mine}
            sources.append({"id": "scene", "name": name, "settings": settings})
        scripts = [{"path": str(path), "settings": settings} for path, settings in self.scripts]
        return {
            "name": "Test",
            "current_scene": SCENES[0],
            "current_program_scene": SCENES[0],
            "scene_order": [{"name": name} for name in SCENES],
            "current_transition": "Cut",
            "sources": sources,
            "groups": [],
            "transitions": [],
            "modules": {"scripts-tool": scripts},
        }

    def start(self) -> None:
        """Start it and return when its websocket server listens."""
        environment = {
            **os.environ,
            "DISPLAY": self.display,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "QT_QPA_PLATFORM": "xcb",
        }
        with (self.home / "obs.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, "obs", "--multi", "--profile", "Test", "--collection", "Test"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"OBS ended with {self.process.returncode}: {self.log()[-2000:]}"
                )
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError("OBS did not listen")

    def end(self) -> None:
        """End it as its own menu does."""
        self._finish(signal.SIGINT)

    def kill(self) -> None:
        """End it without its notice."""
        self._finish(signal.SIGKILL)

    def _finish(self, number: int) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.ended_well.append(process.returncode == 0)

    def log(self) -> str:
        """All that it printed."""
        return (self.home / "obs.log").read_text("utf-8", "replace")
