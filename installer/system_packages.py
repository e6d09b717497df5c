"""Programs of the system that the tests use: installed where that is possible, else named."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progress import say


@dataclass(frozen=True)
class SystemPackage:
    """A package of Debian and Ubuntu, and what shows that it is there already."""

    name: str
    # A program on the path, a file if it starts with a slash, or lib:NAME for a shared library.
    shown_by: str
    purpose: str

    def is_present(self) -> bool:
        """Whether the machine has what the package brings."""
        if self.shown_by.startswith("/"):
            return Path(self.shown_by).exists()
        if self.shown_by.startswith("lib:"):
            return ctypes.util.find_library(self.shown_by[len("lib:") :]) is not None
        return shutil.which(self.shown_by) is not None


SCREEN = "a screen to capture"
CAMERA = "the stand-in for a virtual camera"
KEYS = "hotkeys pressed as a person does"
DESKTOP = "a Wayland desktop with its portals and PipeWire"
OBS = "OBS Studio, with its scenes, hotkeys and scripts"

FOR_TESTS = (
    SystemPackage("xvfb", "Xvfb", SCREEN),
    # Not with Xvfb: mss loads these by itself, and any desktop has them.
    SystemPackage("libxcb-randr0", "lib:xcb-randr", SCREEN),
    SystemPackage("libxcb-render0", "lib:xcb-render", SCREEN),
    SystemPackage("libxcb-shm0", "lib:xcb-shm", SCREEN),
    SystemPackage("libxcb-xfixes0", "lib:xcb-xfixes", SCREEN),
    SystemPackage("x11-xserver-utils", "xrandr", "a screen that changes"),
    SystemPackage("xdotool", "xdotool", KEYS),
    SystemPackage("x11-xkb-utils", "setxkbmap", KEYS),
    SystemPackage("chromium", "chromium", "a browser for the panel"),
    # Without any font it would write nothing.
    SystemPackage(
        "fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu", "a browser for the panel"
    ),
    SystemPackage("obs-studio", "obs", OBS),
    # OBS draws with OpenGL, here in software.
    SystemPackage("libgl1-mesa-dri", "/usr/share/doc/libgl1-mesa-dri", OBS),
    SystemPackage("sway", "sway", DESKTOP),
    SystemPackage("pipewire", "pipewire", DESKTOP),
    SystemPackage("wireplumber", "wireplumber", DESKTOP),
    # What PipeWire loads to make buffers and links.
    SystemPackage("libspa-0.2-modules", "/usr/share/doc/libspa-0.2-modules", DESKTOP),
    SystemPackage("xdg-desktop-portal", "/usr/libexec/xdg-desktop-portal", DESKTOP),
    SystemPackage("xdg-desktop-portal-wlr", "/usr/libexec/xdg-desktop-portal-wlr", DESKTOP),
    SystemPackage("dbus-daemon", "dbus-daemon", DESKTOP),
    SystemPackage("gstreamer1.0-tools", "gst-launch-1.0", "another reader of our camera"),
    SystemPackage(
        "gstreamer1.0-pipewire",
        "/usr/share/doc/gstreamer1.0-pipewire",
        "another reader of our camera",
    ),
    SystemPackage(
        "gstreamer1.0-plugins-base",
        "/usr/share/doc/gstreamer1.0-plugins-base",
        "another reader of our camera",
    ),
    SystemPackage("gcc", "gcc", CAMERA),
    SystemPackage("libc6-dev", "/usr/include/stdio.h", CAMERA),
    SystemPackage("strace", "strace", "whom our programs speak to"),
)


def provide(packages: Sequence[SystemPackage]) -> None:
    """Installs what is missing if that is allowed, else says what is missing.

    Nothing fails here: a test that misses its program is skipped and says so.
    """
    missing = [package for package in packages if not package.is_present()]
    if not missing:
        return
    names = [package.name for package in missing]
    if sys.platform == "win32" or shutil.which("apt-get") is None:
        wanted = ", ".join(f"{package.shown_by} ({package.purpose})" for package in missing)
        say(f"Not on this machine, so some tests will be skipped: {wanted}")
        return
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(names)}"
    if os.geteuid() != 0:
        say(f"Some tests will be skipped; for them, first run: {by_hand}")
        return
    say(f"Installing system packages for the tests: {' '.join(names)} …")
    error = _apt_get("install", "--no-install-recommends", *names)
    if error:
        # The lists of packages may be absent or out of date: fetched only if needed.
        error = _apt_get("update") or _apt_get("install", "--no-install-recommends", *names)
    if error:
        say(f"They could not be installed ({error}); some tests will be skipped. Try: {by_hand}")


def _apt_get(*arguments: str) -> str:
    """Returns what went wrong; empty if nothing did."""
    done = subprocess.run(
        # Another apt-get, such as the nightly one, is waited for.
        ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"apt-get ended with {done.returncode}"
