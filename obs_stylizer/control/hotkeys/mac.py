"""Hotkeys on a Mac: pynput hears every key, and what is wanted is picked out.

Written from pynput's documentation and source; not run on a Mac yet, only against a stand-in for
pynput. The keys are heard by the program in front too, since macOS lets nobody take them away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from obs_stylizer.control.hotkeys.combination import Combination, Modifier
from obs_stylizer.control.hotkeys.keyboard import Listener

log = logging.getLogger(__name__)

NOT_ALLOWED: Final = (
    "macOS lets this program hear no keys: allow what starts it under System Settings, "
    "Privacy & Security, Accessibility and Input Monitoring, then start it again"
)

_MODIFIERS: Final[Mapping[int, Modifier]] = MappingProxyType(
    {
        0x3B: Modifier.CTRL,
        0x3E: Modifier.CTRL,
        0x3A: Modifier.ALT,
        0x3D: Modifier.ALT,
        0x38: Modifier.SHIFT,
        0x3C: Modifier.SHIFT,
        0x37: Modifier.SUPER,
        0x36: Modifier.SUPER,
    }
)

_MEDIA: Final[Mapping[str, str]] = MappingProxyType(
    {
        "playpause": "media_play_pause",
        "previoustrack": "media_previous",
        "nexttrack": "media_next",
        "volumedown": "media_volume_down",
        "volumeup": "media_volume_up",
        "mute": "media_volume_mute",
    }
)
"""What pynput calls keys that have no code of their own."""

_STOP_SECONDS: Final = 2.0

Code = int | str


class EveryKey(Protocol):
    """pynput's listener, as far as it is used."""

    IS_TRUSTED: bool

    def start(self) -> None:
        """Begin to hear, in a thread of its own."""

    def wait(self) -> None:
        """Return once it hears, or cannot."""

    def stop(self) -> None:
        """End."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its thread."""


MakeEveryKey = Callable[[Callable[[Any], None], Callable[[Any], None]], EveryKey]
"""Makes a listener that calls the first for presses and the second for releases."""


class MacKeyboard:
    """Hears combinations among all keys.

    Args:
        make_every_key: makes what hears them; None for pynput.
    """

    def __init__(self, listener: Listener, make_every_key: MakeEveryKey | None = None) -> None:
        self._listener = listener
        self._make = make_every_key or _pynput
        self._every_key: EveryKey | None = None
        self._wanted: Mapping[tuple[frozenset[Modifier], Code], Combination] = {}
        self._problems: Mapping[Combination, str] = {}
        self._trouble: str | None = None
        self._lock = threading.Lock()
        self._modifiers: set[Modifier] = set()
        self._down: set[Code] = set()
        self._held: dict[Code, Combination] = {}
        self._thread = threading.Thread(target=self._begin, name="hotkeys-mac", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def watch(self, combinations: Collection[Combination]) -> None:
        """Pick out these and no others."""
        codes = {combination: _code_of(combination) for combination in combinations}
        with self._lock:
            self._wanted = {
                (combination.modifiers, code): combination
                for combination, code in codes.items()
                if code is not None
            }
            self._problems = {
                combination: f"a Mac has no key {combination.key.name}"
                for combination, code in codes.items()
                if code is None
            }
        self._tell()

    def stop(self) -> None:
        """End."""
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS)
        if self._every_key is not None:
            self._every_key.stop()
            self._every_key.join(_STOP_SECONDS)
        for combination in self._held.values():
            self._listener.released(combination)
        self._held.clear()

    def _begin(self) -> None:
        try:
            every_key = self._make(self._safe(self._press), self._safe(self._release))
            every_key.start()
            self._every_key = every_key
            every_key.wait()
            self._trouble = "" if every_key.IS_TRUSTED else NOT_ALLOWED
        except Exception as error:
            log.debug("pynput does not start", exc_info=error)
            self._trouble = f"pynput does not work here: {error}"
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            if self._trouble is not None:
                self._listener.listening({} if self._trouble else self._problems, self._trouble)

    def _safe(self, take: Callable[[Code], None]) -> Callable[[Any], None]:
        """An exception would end pynput's thread."""

        def taken(key: Any) -> None:
            try:
                code = _code_of_pynput(key)
                if code is not None:
                    take(code)
            except Exception:
                log.exception("hotkeys failed at %r", key)

        return taken

    def _press(self, code: Code) -> None:
        modifier = _MODIFIERS.get(code) if isinstance(code, int) else None
        if modifier is not None:
            self._modifiers.add(modifier)
            return
        if code in self._down:
            return
        self._down.add(code)
        combination = self._wanted.get((frozenset(self._modifiers), code))
        if combination is not None:
            self._held[code] = combination
            self._listener.pressed(combination)

    def _release(self, code: Code) -> None:
        modifier = _MODIFIERS.get(code) if isinstance(code, int) else None
        if modifier is not None:
            # pynput tells a release only when left and right are both up.
            self._modifiers.discard(modifier)
            return
        self._down.discard(code)
        combination = self._held.pop(code, None)
        if combination is not None:
            self._listener.released(combination)


def _code_of(combination: Combination) -> Code | None:
    return _MEDIA.get(combination.key.name, combination.key.mac)


def _code_of_pynput(key: Any) -> Code | None:
    """Return the place of a key, whatever Alt or Shift have made of its letter."""
    if key is None:
        return None
    name = getattr(key, "name", "")
    if name.startswith("media_"):
        return str(name)
    code = getattr(getattr(key, "value", key), "vk", None)
    return None if code is None else int(code)


def _pynput(on_press: Callable[[Any], None], on_release: Callable[[Any], None]) -> EveryKey:
    from pynput import keyboard

    every_key: EveryKey = keyboard.Listener(on_press=on_press, on_release=on_release)
    return every_key
