"""What listens for keys: one interface, one module for each system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from obs_stylizer.control.hotkeys.combination import Combination


class Listener(Protocol):
    """Who is told by a keyboard. It is called on the keyboard's thread and returns at once."""

    def pressed(self, combination: Combination) -> None:
        """It was pressed; repeats of a held key are not told."""

    def released(self, combination: Combination) -> None:
        """Its key was let go; comes once after each press, also when the keyboard is lost."""

    def listening(self, problems: Mapping[Combination, str], trouble: str) -> None:
        """What is listened for has changed.

        ``problems`` says of each refused combination why; ``trouble`` why nothing at all can be
        heard now, "" while all is well.
        """


class Keyboard(Protocol):
    """Listens for combinations, whichever window is in front. One start and one stop."""

    def start(self) -> None:
        """Begin; returns at once."""

    def watch(self, combinations: Collection[Combination]) -> None:
        """Listen for these from now on and for no others; any thread may call it."""

    def stop(self) -> None:
        """End, and give every key back."""


MakeKeyboard = Callable[[Listener], Keyboard]
"""Makes the keyboard that tells a listener."""


class NoKeyboard:
    """Hears nothing, and says why."""

    def __init__(self, listener: Listener, trouble: str) -> None:
        self._listener = listener
        self._trouble = trouble

    def start(self) -> None:
        """Nothing is begun."""

    def watch(self, combinations: Collection[Combination]) -> None:
        """Say that none can be heard."""
        del combinations
        self._listener.listening({}, self._trouble)

    def stop(self) -> None:
        """Nothing is ended."""


ON_WAYLAND: Final = "Wayland lets no program listen for keys of the whole desktop"

TAKEN: Final = "another program has taken it (the system does not tell which)"

_NO_SCREEN: Final = "there is no desktop to listen on (DISPLAY is not set)"


def keyboard_of_this_system(
    listener: Listener, environment: Mapping[str, str] = MappingProxyType(os.environ)
) -> Keyboard:
    """Return what can listen for keys on this system."""
    if sys.platform == "win32":
        from obs_stylizer.control.hotkeys.windows import WindowsKeyboard

        return WindowsKeyboard(listener)
    if sys.platform == "darwin":
        from obs_stylizer.control.hotkeys.mac import MacKeyboard

        return MacKeyboard(listener)
    if environment.get("WAYLAND_DISPLAY") or environment.get("XDG_SESSION_TYPE") == "wayland":
        return NoKeyboard(listener, ON_WAYLAND)
    if not environment.get("DISPLAY"):
        return NoKeyboard(listener, _NO_SCREEN)
    from obs_stylizer.control.hotkeys.x11 import X11Keyboard

    return X11Keyboard(listener, environment["DISPLAY"])
