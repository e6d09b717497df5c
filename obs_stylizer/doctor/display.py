"""The screen: which display server there is, and what it forbids."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.sources.listing import list_screens
from obs_stylizer.sources.spec import SourceKind


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    wants_screen = situation.settings.source.startswith(SourceKind.SCREEN)
    server = display_server()
    if server == "Wayland":
        make = notes.fault if wants_screen else notes.warning
        yield make(
            "display server",
            "Wayland: no program may capture the screen or listen for hotkeys unasked",
            "let OBS capture the screen, and bind the desktop's own shortcuts to commands of "
            "obs-stylizer; or log in to an X11 session",
        )
        return
    screens = list_screens()
    if screens:
        sizes = ", ".join(f"screen:{s.index} {s.name} {s.width}x{s.height}" for s in screens)
        yield notes.ok("display server", f"{server}; {sizes}")
    elif wants_screen:
        yield notes.fault("display server", f"{server}: {screens.reason}")
    elif server == "none":
        yield notes.ok("display server", "none: no screen capture, no hotkeys; the rest works")
    else:
        yield notes.warning("display server", f"{server}: {screens.reason}")


def display_server() -> str:
    """Name what draws the desktop: Wayland, X11, Windows, macOS or none."""
    if sys.platform == "win32":
        return "Windows"
    if sys.platform == "darwin":
        return "macOS"
    if os.environ.get("WAYLAND_DISPLAY") or os.environ.get("XDG_SESSION_TYPE") == "wayland":
        return "Wayland"
    return "X11" if os.environ.get("DISPLAY") else "none"
