"""Virtual camera devices without a kernel module: a small library, loaded before Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("v4l2_output_shim.c")
DEVICES = ("/dev/video40", "/dev/video41")


def compiler() -> str | None:
    """The C compiler, or None."""
    return shutil.which("gcc") or shutil.which("cc")


def build(folder: Path) -> Path:
    """Compile the library into ``folder``."""
    library = folder / "v4l2_output_shim.so"
    command = [compiler() or "cc", "-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def environment(library: Path, folder: Path) -> dict[str, str]:
    """The environment of a program that shall see :data:`DEVICES`."""
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "SHIM_DEVICES": ":".join(DEVICES),
        "SHIM_FOLDER": str(folder),
    }


def throw_frames_away(device: str, folder: Path) -> None:
    """Have what is written to a device vanish; it would fill a disk. Linux and the like only."""
    pipe = folder / f"{device.rpartition('/')[2]}.frames"
    os.mkfifo(pipe)
    # Open for both, so that it neither waits nor ends when nobody writes.
    descriptor = os.open(pipe, os.O_RDWR)

    def drain() -> None:
        while os.read(descriptor, 1 << 20):
            pass

    threading.Thread(target=drain, name=f"drain {device}", daemon=True).start()


class ShimDevice:
    """What a test does to one of the devices, and what it finds in it."""

    def __init__(self, device: str, folder: Path) -> None:
        self.device = device
        self._folder = folder
        self._name = device.rpartition("/")[2]

    def set(self, state: str, text: str = "") -> None:
        """Make it "gone", "denied", "taken", "stuck", or keep a "format" such as "640 480 YUYV"."""
        self._file(state).write_text(text)

    def unset(self, state: str) -> None:
        """Undo :meth:`set`."""
        self._file(state).unlink(missing_ok=True)

    def forget(self) -> None:
        """Be as new."""
        for state in ("gone", "denied", "taken", "stuck", "format", "frames"):
            self.unset(state)

    def frames(self, width: int, height: int) -> NDArray[np.uint8]:
        """All frames written so far, uint8 I420 (count, height * 3 / 2, width)."""
        file = self._file("frames")
        raw = np.fromfile(file, np.uint8) if file.exists() else np.empty(0, np.uint8)
        return raw.reshape(-1, height * 3 // 2, width)

    def _file(self, suffix: str) -> Path:
        return self._folder / f"{self._name}.{suffix}"
