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
    """A running screen: its name for DISPLAY, its process, and the size it began with."""

    name: str
    process: subprocess.Popen[bytes]
    width: int
    height: int

    def fill(self, colour: str) -> bool:
        """Paint all of it in one colour, such as "#ff8000"; False if there is no xsetroot."""
        return self._run("xsetroot", "-solid", colour)

    def resize(self, width: int, height: int) -> bool:
        """Make it smaller; False if there is no xrandr."""
        mode = f"small-{width}x{height}"
        timing = [
            width,
            width + 4,
            width + 8,
            width + 12,
            height,
            height + 2,
            height + 4,
            height + 6,
        ]
        return (
            self._run("xrandr", "--newmode", mode, "5.0", *map(str, timing))
            and self._run("xrandr", "--addmode", "screen", mode)
            and self._run("xrandr", "--output", "screen", "--mode", mode)
        )

    def restore(self) -> None:
        """Give it back the size with which it began."""
        self._run("xrandr", "--output", "screen", "--mode", f"{self.width}x{self.height}")

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
        # Else it begins anew, black and in its first size, whenever its last guest leaves.
        "-noreset",
    ]
    process = subprocess.Popen(command, pass_fds=[its], stderr=subprocess.DEVNULL)
    os.close(its)
    try:
        ready, _, _ = select.select([mine], [], [], 20)
        number = os.read(mine, 16).decode().strip() if ready else ""
        if not number:
            raise RuntimeError("Xvfb did not start")
        yield Display(f":{number}", process, width, height)
    finally:
        os.close(mine)
        process.terminate()
        process.wait(10)
