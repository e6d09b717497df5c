"""Which keyboard listens on this system; each is imported only where it is chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keyboard import Keyboard, Listener
from obs_stylizer.portal.session import is_wayland

_NO_SCREEN: Final = "there is no desktop to listen on (DISPLAY is not set)"


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
    if is_wayland(environment):
        from obs_stylizer.control.hotkeys.portal import PortalKeyboard

        return PortalKeyboard(listener)
    if not environment.get("DISPLAY"):
        return NoKeyboard(listener, _NO_SCREEN)
    from obs_stylizer.control.hotkeys.x11 import X11Keyboard

    return X11Keyboard(listener, environment["DISPLAY"])
