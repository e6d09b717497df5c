"""The screen: which display server there is, and what it forbids."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import PipewireError, PortalError
from obs_stylizer.pipewire.library import library_version
from obs_stylizer.pipewire.registry import pipewire_trouble
from obs_stylizer.portal.bus import PortalBus
from obs_stylizer.portal.screencast import screencast_version
from obs_stylizer.portal.session import is_wayland
from obs_stylizer.settings import state_folder
from obs_stylizer.sources.listing import list_screens
from obs_stylizer.sources.spec import SourceKind


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    wanted = situation.settings.source
    wants_screen = wanted.startswith((SourceKind.SCREEN, SourceKind.WINDOW))
    server = display_server()
    if server == "Wayland":
        yield from _of_wayland(notes, wants_screen=wants_screen)
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


def _of_wayland(notes: Notes, *, wants_screen: bool) -> Iterator[Finding]:
    """What the desktop's portal shares: the screen, and the keys."""
    try:
        with PortalBus() as bus:
            yield _screen_cast(notes, bus, wants_screen=wants_screen)
            yield _shortcuts(notes, bus)
    except PortalError as error:
        make = notes.fault if wants_screen else notes.warning
        yield make("display server", f"Wayland: {error.message}", error.remedy)


def _screen_cast(notes: Notes, bus: PortalBus, *, wants_screen: bool) -> Finding:
    make = notes.fault if wants_screen else notes.warning
    trouble: PortalError | PipewireError | None = None
    try:
        version, kinds = screencast_version(bus)
        trouble = pipewire_trouble()
    except PortalError as error:
        trouble = error
    if trouble is not None:
        return make("screen capture", f"Wayland: {trouble.message}", trouble.remedy)
    names = ", ".join(f"{str(kind.name).lower()}s" for kind in kinds) or "nothing"
    remembered = any((state_folder() / f"{kind}.token").exists() for kind in ("screen", "window"))
    asked = "a choice is remembered" if remembered else "the desktop will ask which"
    return notes.ok(
        "screen capture",
        f"Wayland: ScreenCast {version} ({names}), PipeWire {library_version()}; {asked}",
    )


def _shortcuts(notes: Notes, bus: PortalBus) -> Finding:
    try:
        bus.portal_property("GlobalShortcuts", "version")
    except PortalError:
        return notes.warning(
            "hotkeys",
            "this desktop has no GlobalShortcuts portal",
            "bind commands in its keyboard settings, such as:",
            copyable.program("ctl", "next"),
        )
    return notes.ok(
        "hotkeys", "the desktop asks once, and lets you change the keys in its settings"
    )


def display_server() -> str:
    """Name what draws the desktop: Wayland, X11, Windows, macOS or none."""
    if sys.platform == "win32":
        return "Windows"
    if sys.platform == "darwin":
        return "macOS"
    if is_wayland():
        return "Wayland"
    return "X11" if os.environ.get("DISPLAY") else "none"
