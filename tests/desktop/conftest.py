"""A Wayland desktop that nobody sees, and of it the part that a camera needs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.wayland.desktop import (
    HERE,
    WaylandDesktop,
    missing,
    missing_for_pipewire,
    wayland_desktop,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.desktop)


def _run(*, whole: bool) -> Iterator[WaylandDesktop]:
    absent = missing() if whole else missing_for_pipewire()
    if sys.platform != "linux" or absent:
        pytest.skip(f"not installed: {absent} (python3 installer/install.py test installs them)")
    # The path of a socket may have 107 letters, and that of a test's own folder is long.
    with (
        tempfile.TemporaryDirectory(prefix="wl-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
        wayland_desktop(Path(folder), whole=whole) as running,
    ):
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            patch.delenv(name, raising=False)
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def desktop() -> Iterator[WaylandDesktop]:
    """A whole desktop, for the tests of one module."""
    yield from _run(whole=True)


@pytest.fixture(scope="module")
def pipewire() -> Iterator[WaylandDesktop]:
    """A session bus, PipeWire and its session manager alone."""
    yield from _run(whole=False)


class Painter:
    """A program on the desktop that paints the time."""

    def __init__(self, desktop: WaylandDesktop) -> None:
        self._desktop = desktop
        self._process: subprocess.Popen[str] | None = None

    def start(self, fps: float = 30, seconds: float = 120) -> None:
        size = map(str, self._desktop.size)
        command = [sys.executable, str(HERE / "painter.py"), *size, str(fps), str(seconds)]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **self._desktop.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n"

    def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@pytest.fixture
def painter(desktop: WaylandDesktop) -> Iterator[Painter]:
    painting = Painter(desktop)
    yield painting
    painting.end()
    time.sleep(0.05)
