"""Keys that work whichever window is in front, where the desktop's portal gives them.

See org.freedesktop.portal.GlobalShortcuts. Who has it: GNOME from 48, Plasma, Hyprland.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from obs_stylizer.errors import PortalError
from obs_stylizer.portal.bus import PortalBus

INTERFACE: Final = "org.freedesktop.portal.GlobalShortcuts"
_PORTAL: Final = "GlobalShortcuts"


@dataclass(frozen=True, slots=True)
class Shortcut:
    """One that is asked for.

    Attributes:
        ident: by which the desktop remembers which keys the user gave it.
        description: for the desktop's dialog.
        trigger: keys that are proposed, as in CTRL+ALT+Right.
    """

    ident: str
    description: str
    trigger: str


def has_shortcuts(bus: PortalBus) -> bool:
    """Whether the desktop gives keys at all."""
    try:
        bus.portal_property(_PORTAL, "version")
    except PortalError:
        return False
    return True


def listen(bus: PortalBus) -> None:
    """Keep the signals of keys and sessions from now on."""
    for member in ("Activated", "Deactivated", "ShortcutsChanged"):
        bus.listen(INTERFACE, member)
    bus.listen("org.freedesktop.portal.Session", "Closed")
    bus.listen_for_restarts()


def bind(
    bus: PortalBus, session: str, shortcuts: Sequence[Shortcut], given_up: Callable[[], bool]
) -> dict[str, str]:
    """Ask for keys, once for each session; the desktop asks the user the first time.

    Returns:
        For each shortcut that the desktop has, by its ident: what it calls its keys; "" while the
        user has given it none.

    Raises:
        PortalCancelledError: the user said no.
        PortalError: the desktop does not give them.
    """
    asked = [
        (
            one.ident,
            {"description": ("s", one.description), "preferred_trigger": ("s", one.trigger)},
        )
        for one in shortcuts
    ]
    code, results = bus.request(
        _PORTAL, "BindShortcuts", "oa(sa{sv})s", session, asked, "", given_up=given_up
    )
    bound = read_triggers(results.get("shortcuts", []))
    # GNOME 48 tells of a success as of an end, and gives the results all the same.
    if code and not bound:
        raise PortalError(
            f"the desktop gives no hotkeys (code {code})",
            "bind commands in its keyboard settings, such as: obs-stylizer ctl next",
        )
    return bound


def read_triggers(shortcuts: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return what the desktop calls the keys of each shortcut, by its ident."""
    return {
        str(ident): str(about.get("trigger_description", ("s", ""))[1])
        for ident, about in shortcuts
    }
