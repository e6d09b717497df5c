"""Hotkeys on Wayland: the desktop's portal gives them, in a thread of its own."""

from __future__ import annotations

import logging
import re
import select
import threading
import time
from collections.abc import Collection, Mapping
from typing import Final

from obs_stylizer.control.hotkeys.combination import Combination, Modifier
from obs_stylizer.control.hotkeys.keyboard import BIND_BY_HAND, Listener
from obs_stylizer.control.hotkeys.wakeup import Wakeup
from obs_stylizer.errors import PortalCancelledError, PortalError
from obs_stylizer.portal import shortcuts
from obs_stylizer.portal.bus import PortalBus
from obs_stylizer.portal.identity import register
from obs_stylizer.portal.shortcuts import Shortcut

log = logging.getLogger(__name__)

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 5.0
_STOP_SECONDS: Final = 3.0
_SETTLE_SECONDS: Final = 0.1

_AWAY: Final = "the desktop's portal is not there; waiting for it"
_ASKING: Final = "the desktop asks you which hotkeys it may give"
_REFUSED: Final = "you allowed no hotkeys; it is asked again when obs-stylizer starts again"
_NO_KEYS: Final = "the desktop has given it no keys yet: choose some in its keyboard settings"
_NOT_TAKEN: Final = "the desktop did not take it"

_MODIFIERS: Final = {
    Modifier.CTRL: "CTRL",
    Modifier.ALT: "ALT",
    Modifier.SHIFT: "SHIFT",
    Modifier.SUPER: "LOGO",
}
# Where our name of a key is not, with a capital, that of X11.
_KEYSYMS: Final = {
    "quote": "apostrophe",
    "pageup": "Page_Up",
    "pagedown": "Page_Down",
    "backspace": "BackSpace",
    "enter": "Return",
    "printscreen": "Print",
    "scrolllock": "Scroll_Lock",
    "numplus": "KP_Add",
    "numminus": "KP_Subtract",
    "nummultiply": "KP_Multiply",
    "numdivide": "KP_Divide",
    "numdecimal": "KP_Decimal",
    "numenter": "KP_Enter",
    "playpause": "XF86AudioPlay",
    "mediastop": "XF86AudioStop",
    "previoustrack": "XF86AudioPrev",
    "nexttrack": "XF86AudioNext",
    "volumedown": "XF86AudioLowerVolume",
    "volumeup": "XF86AudioRaiseVolume",
    "mute": "XF86AudioMute",
}
_SMALL: Final = (
    *("minus", "equal", "comma", "period", "slash", "backslash", "semicolon", "grave"),
    *("bracketleft", "bracketright", "space"),
)


def trigger_of(combination: Combination) -> str:
    """Write a combination as the portal has it, such as CTRL+ALT+Page_Up."""
    name = combination.key.name
    if name in _KEYSYMS:
        key = _KEYSYMS[name]
    elif re.fullmatch(r"num\d", name):
        key = f"KP_{name[-1]}"
    elif len(name) == 1 or name in _SMALL:
        key = name
    else:
        key = name.capitalize()
    held = [_MODIFIERS[one] for one in Modifier if one in combination.modifiers]
    return "+".join([*held, key])


class PortalKeyboard:
    """Asks the portal for keys, and again for others when others are wanted."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._wanted: dict[Combination, str] = {}
        self._stopping = threading.Event()
        self._wakeup = Wakeup()
        self._refused = self._worked = False
        self._down: dict[str, Combination] = {}
        self._told: object = None
        self._thread = threading.Thread(target=self._run, name="hotkeys-portal", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def watch(self, combinations: Collection[Combination]) -> None:
        """Ask for these and no others; a mapping says what each is for."""
        known = combinations if isinstance(combinations, Mapping) else {}
        self._wanted = {one: str(known.get(one, one)) for one in combinations}
        self._wakeup.wake()

    def stop(self) -> None:
        """End, and give all keys back."""
        self._stopping.set()
        self._wakeup.wake()
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        if not self._thread.is_alive():
            self._wakeup.close()

    def _run(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                with PortalBus() as bus:
                    self._serve(bus)
            except PortalError as error:
                self._lost(error.message)
            except Exception as error:
                log.exception("hotkeys: unexpected answer of the desktop's portal")
                self._lost(f"the desktop's portal answers in an unknown way: {error}")
            if time.monotonic() - began > _LONGEST_WAIT:
                wait = _FIRST_WAIT
            self._stopping.wait(wait)
            wait = min(_LONGEST_WAIT, 2 * wait)

    def _serve(self, bus: PortalBus) -> None:
        """Stay until the portal is gone or we are to end."""
        register(bus)
        shortcuts.listen(bus)
        portal = bus.owner()
        if not shortcuts.has_shortcuts(bus):
            self._wait_for_another_portal(bus, portal)
            return
        session, asked = "", None
        while not self._stopping.is_set():
            wanted = dict(self._wanted)
            if wanted != asked and not self._refused:
                asked = wanted
                if session:
                    bus.close_session(session)
                session, by_ident = self._ask(bus, wanted)
            while (signal := bus.next_signal()) is not None:
                member, body = signal
                if member == "NameOwnerChanged" and body[2] != portal:
                    raise PortalError(_AWAY)
                if body[0] != session and member != "Closed":
                    continue
                if member == "Closed":
                    raise PortalError("the desktop ended the hotkeys")
                if member == "ShortcutsChanged":
                    self._tell_bound(by_ident, shortcuts.read_triggers(body[1]))
                else:
                    self._take(member, by_ident.get(body[1]), body[1])
            self._rest(bus)

    def _ask(
        self, bus: PortalBus, wanted: Mapping[Combination, str]
    ) -> tuple[str, dict[str, Combination]]:
        """Open a session for these; return it and the combination of each of its idents."""
        by_ident = _idents(wanted)
        if not wanted:
            self._tell({}, "")
            return "", by_ident
        session = bus.create_session("GlobalShortcuts")
        asked = [Shortcut(ident, wanted[one], trigger_of(one)) for ident, one in by_ident.items()]
        self._tell({}, _ASKING)
        try:
            bound = shortcuts.bind(bus, session, asked, self._stopping.is_set)
        except PortalCancelledError:
            self._refused = True
            self._tell({}, _REFUSED)
            return session, by_ident
        self._worked = True
        self._tell_bound(by_ident, bound)
        return session, by_ident

    def _tell_bound(self, by_ident: Mapping[str, Combination], bound: Mapping[str, str]) -> None:
        problems = {
            one: _NOT_TAKEN if ident not in bound else _NO_KEYS
            for ident, one in by_ident.items()
            if not bound.get(ident)
        }
        named = {by_ident[ident]: text for ident, text in bound.items() if ident in by_ident}
        self._tell(problems, "", {one: text for one, text in named.items() if text})

    def _take(self, member: str, combination: Combination | None, ident: str) -> None:
        if combination is None:
            return
        if member == "Activated" and ident not in self._down:
            self._down[ident] = combination
            self._listener.pressed(combination)
        elif member == "Deactivated" and self._down.pop(ident, None) is not None:
            self._listener.released(combination)

    def _wait_for_another_portal(self, bus: PortalBus, portal: str) -> None:
        # One that gave keys before, and is away, comes back as a rule.
        trouble = _AWAY if self._worked and not portal else BIND_BY_HAND
        self._tell({}, trouble)
        while not self._stopping.is_set():
            while (signal := bus.next_signal()) is not None:
                member, body = signal
                if member == "NameOwnerChanged" and body[2] not in ("", portal):
                    return
            self._rest(bus)
            # What is wanted may have changed, and with it the lines to bind by hand.
            self._told = None
            self._tell({}, trouble)

    def _rest(self, bus: PortalBus) -> None:
        """Sleep until the bus has something, or somebody rings."""
        bell = self._wakeup.fileno()
        ready, _, _ = select.select([bus.fileno(), bell], [], [])
        if bell in ready:
            self._wakeup.clear()
            # Several changes come together.
            self._stopping.wait(_SETTLE_SECONDS)

    def _lost(self, trouble: str) -> None:
        down, self._down = self._down, {}
        for combination in down.values():
            self._listener.released(combination)
        if not self._stopping.is_set():
            self._tell({}, trouble)

    def _tell(
        self,
        problems: Mapping[Combination, str],
        trouble: str,
        triggers: Mapping[Combination, str] | None = None,
    ) -> None:
        news = (dict(problems), trouble, dict(triggers or {}))
        if news != self._told:
            self._told = news
            self._listener.listening(*news)


def _idents(wanted: Mapping[Combination, str]) -> dict[str, Combination]:
    """Give each a name that stays the same as long as it does the same."""
    found: dict[str, Combination] = {}
    for combination, text in wanted.items():
        ident = re.sub(r"[^\w.+-]+", "-", text).strip("-") or "key"
        while ident in found:
            ident += "-2"
        found[ident] = combination
    return found
