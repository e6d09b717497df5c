"""Sharing a screen or a window: the portal asks the user, and PipeWire brings the pictures.

See org.freedesktop.portal.ScreenCast.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any, Final

from obs_stylizer.errors import PortalError
from obs_stylizer.portal.bus import PortalBus, Variant

log = logging.getLogger(__name__)

_PORTAL: Final = "ScreenCast"
_INTERFACE: Final = "org.freedesktop.portal.ScreenCast"
_CURSOR_IN_PICTURE: Final = 2
_UNTIL_REVOKED: Final = 2
_FIRST_WITH_TOKENS: Final = 4


class Shared(IntFlag):
    """What may be shared."""

    SCREEN = 1
    WINDOW = 2


@dataclass(frozen=True, slots=True)
class Cast:
    """What the user shares.

    Attributes:
        session: path of the portal's session; closing it ends the sharing.
        descriptor: of the socket to PipeWire; whoever takes the cast closes it.
        node: number of the node that gives the pictures.
        serial: number of it that is never given twice; "" on older desktops.
        remembered: whether the desktop will know the choice without asking.
    """

    session: str
    descriptor: int
    node: int
    serial: str
    remembered: bool


class RestoreToken:
    """A choice that the desktop remembers, in a file that only its user can read.

    Args:
        path: of the file; its folder is made when needed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        """Return the token, "" where there is none."""
        try:
            return self._path.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def write(self, token: str) -> None:
        """Keep a token for the next time; "" forgets the last."""
        if not token:
            self.forget()
            return
        draft = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            draft.touch(mode=0o600)
            draft.write_text(token, "ascii")
            draft.replace(self._path)
        except (OSError, ValueError) as error:
            log.warning("the desktop will ask again next time: %s", error)

    def forget(self) -> None:
        """Let the desktop ask the next time."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the choice of a screen cannot be forgotten: %s", error)


def screencast_version(bus: PortalBus) -> tuple[int, Shared]:
    """Return the portal's version and what can be shared through it.

    Raises:
        PortalError: there is none, or no back end that could do it.
    """
    version = int(bus.portal_property(_PORTAL, "version"))
    kinds = Shared(int(bus.portal_property(_PORTAL, "AvailableSourceTypes")) & 3)
    return version, kinds


def open_cast(
    bus: PortalBus, shared: Shared, token: RestoreToken, given_up: Callable[[], bool]
) -> Cast:
    """Ask the user what to share, or share again what ``token`` stands for.

    Args:
        bus: which must stay open as long as the cast is to last.
        shared: what the user may choose from.
        token: of the last time; is given the next one.
        given_up: see :meth:`PortalBus.request`.

    Raises:
        PortalCancelledError: the user said no.
        PortalError: it cannot be.
    """
    version, kinds = screencast_version(bus)
    if not kinds & shared:
        names = " and ".join(str(one.name).lower() + "s" for one in kinds) or "nothing"
        raise PortalError(
            f"this desktop's portal shares {names}, no {str(shared.name).lower()}s",
            "use another source: obs-stylizer devices",
        )
    session = bus.create_session(_PORTAL)
    bus.listen("org.freedesktop.portal.Session", "Closed", session)
    try:
        options: dict[str, Variant] = {
            "types": ("u", int(kinds & shared)),
            "multiple": ("b", False),
        }
        if version >= 2 and int(bus.portal_property(_PORTAL, "AvailableCursorModes")) & 2:
            options["cursor_mode"] = ("u", _CURSOR_IN_PICTURE)
        if version >= _FIRST_WITH_TOKENS:
            options["persist_mode"] = ("u", _UNTIL_REVOKED)
            known = token.read()
            if known:
                options["restore_token"] = ("s", known)
        _must_work(bus.request(_PORTAL, "SelectSources", "o", session, options=options))
        started = bus.request(_PORTAL, "Start", "os", session, "", given_up=given_up)
        results = _must_work(started)
        streams = results.get("streams", [])
        if not streams:
            raise PortalError("the desktop shared nothing", "ask again, and choose a screen")
        if version >= _FIRST_WITH_TOKENS:
            # Each is good for one time, so that of the last must not stay.
            token.write(str(results.get("restore_token", "")))
        (descriptor,) = bus.call(_INTERFACE, "OpenPipeWireRemote", "oa{sv}", session, {})
    except BaseException:
        bus.close_session(session)
        raise
    # KDE may tell of more than was asked for, and means the last.
    node, about = streams[-1]
    serial = about.get("pipewire-serial", ("t", ""))[1]
    remembered = bool(results.get("restore_token"))
    return Cast(session, descriptor.to_raw_fd(), int(node), str(serial), remembered)


def _must_work(answer: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    code, results = answer
    if code:
        raise PortalError(
            f"the desktop portal ended the sharing of the screen (code {code})",
            "see whether the back end of your desktop runs: "
            "systemctl --user status 'xdg-desktop-portal*'",
        )
    return results
