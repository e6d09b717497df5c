"""An X11 screen without a monitor, by Xvfb."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Display:
    """A running screen: its name for DISPLAY, and its process."""

    name: str
    process: subprocess.Popen[bytes]

    def fill(self, colour: str) -> bool:
        """Paint all of it in one colour, such as "#ff8000"; False if there is no xsetroot."""
        return self._run("xsetroot", "-solid", colour)

    def resize(self, width: int, height: int) -> bool:
        """Change its size; False if there is no xrandr."""
        return self._run("xrandr", "--output", "screen", "--mode", f"{width}x{height}")

    def _run(self, *command: str) -> bool:
        if shutil.which(command[0]) is None:
            return False
        environment = {**os.environ, "DISPLAY": self.name}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        return True


@contextmanager
def start(width: int, height: int) -> Iterator[Display]:
    """Run a screen of that size on a free number."""
    mine, its = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(its),
        "-screen",
        "0",
        f"{width}x{height}x24",
        "-nolisten",
        "tcp",
    ]
    process = subprocess.Popen(command, pass_fds=[its], stderr=subprocess.DEVNULL)
    os.close(its)
    try:
        ready, _, _ = select.select([mine], [], [], 20)
        number = os.read(mine, 16).decode().strip() if ready else ""
        if not number:
            raise RuntimeError("Xvfb did not start")
        yield Display(f":{number}", process)
    finally:
        os.close(mine)
        process.terminate()
        process.wait(10)
