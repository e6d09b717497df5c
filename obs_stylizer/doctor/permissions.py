"""What the system allows us: folders, devices, and the switches of Windows and macOS.

Those of Windows and macOS are asked as their documentation says; that was not run by the authors.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.inference.cache import cache_folder
from obs_stylizer.settings import config_folder, runtime_folder

_DEVICES: Final = (
    ("cameras", Path("/dev"), "video[0-9]*", "video"),
    ("GPU", Path("/dev/dri"), "renderD*", "render"),
)
"""What it is, where its devices are, what they are called, and the group that may open them."""

_WINDOWS_SWITCH: Final = (
    r"Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\webcam"
)
_SETTINGS_PANE: Final = "open 'x-apple.systempreferences:com.apple.preference.security?Privacy_"


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    del situation
    yield from _folders(notes)
    if sys.platform == "linux":
        yield from _devices(notes)
    elif sys.platform == "win32":
        yield from _windows_camera(notes)
    elif sys.platform == "darwin":
        yield from _macos(notes)


def _folders(notes: Notes) -> Iterator[Finding]:
    folders = dict.fromkeys((config_folder(), cache_folder(), runtime_folder()))
    forbidden = [(folder, error) for folder in folders if (error := _cannot_write(folder))]
    for folder, error in forbidden:
        mine = copyable.command("sudo", "chown", "-R", str(os.environ.get("USER", "")), str(folder))
        yield notes.fault(
            "folder",
            f"{folder} cannot be written: {error}",
            "make it your own:",
            *(() if sys.platform == "win32" else (mine,)),
        )
    if not forbidden:
        yield notes.ok("folders", "configuration and cache can be written")


def _cannot_write(folder: Path) -> str:
    """Why a file cannot be made in a folder, or in the one in which it would be made; "" if so."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _devices(notes: Notes) -> Iterator[Finding]:
    for what, folder, pattern, group in _DEVICES:
        devices = sorted(folder.glob(pattern)) if folder.is_dir() else []
        forbidden = [str(path) for path in devices if not os.access(path, os.R_OK | os.W_OK)]
        if forbidden:
            yield notes.warning(
                what,
                f"{', '.join(forbidden)} may not be opened",
                f"join the group {group}, then log out and in again:",
                f"sudo usermod -a -G {group} $USER",
            )
        elif devices:
            yield notes.ok(what, f"{', '.join(map(str, devices))} may be opened")


def _windows_camera(notes: Notes) -> Iterator[Finding]:
    if sys.platform != "win32":
        return
    import winreg

    for key in (_WINDOWS_SWITCH, rf"{_WINDOWS_SWITCH}\NonPackaged"):
        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
                allowed = winreg.QueryValueEx(opened, "Value")[0] != "Deny"
        except OSError:
            continue
        if not allowed:
            yield notes.fault(
                "cameras",
                "Windows keeps desktop programs from the camera",
                "switch on “Let desktop apps access your camera”:",
                "start ms-settings:privacy-webcam",
            )
            return
    yield notes.ok("cameras", "Windows lets desktop programs use them")


def _macos(notes: Notes) -> Iterator[Finding]:
    """Ask the two questions that need no bundle of ours; the terminal is what is asked about."""
    import ctypes

    questions = (
        ("screen", "CoreGraphics", "CGPreflightScreenCaptureAccess", "ScreenCapture"),
        ("hotkeys", "ApplicationServices", "AXIsProcessTrusted", "Accessibility"),
    )
    for what, framework, function, pane in questions:
        path = f"/System/Library/Frameworks/{framework}.framework/{framework}"
        try:
            ask = getattr(ctypes.CDLL(path), function)
            ask.restype = ctypes.c_bool
            allowed = bool(ask())
        except (OSError, AttributeError) as error:
            yield notes.warning(what, f"macOS could not be asked: {error}")
            continue
        if allowed:
            yield notes.ok(what, "macOS allows it to this terminal")
        else:
            yield notes.warning(
                what,
                "macOS does not allow it to this terminal yet",
                "allow it to the terminal, and start that anew:",
                f"{_SETTINGS_PANE}{pane}'",
            )
    yield notes.ok("cameras", "macOS asks when the first one is opened")
