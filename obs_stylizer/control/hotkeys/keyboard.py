"""What listens for keys: the interface that one module for each system has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from obs_stylizer.control.hotkeys.combination import Combination

TAKEN: Final = "another program has taken it (the system does not tell which)"


BIND_BY_HAND: Final = "this desktop's portal gives no hotkeys (GlobalShortcuts)"
"""Why nothing can be heard where the desktop itself can start a command for a key."""


class Listener(Protocol):
    """Who is told by a keyboard. It is called on the keyboard's thread and returns at once."""

    def pressed(self, combination: Combination) -> None:
        """It was pressed; repeats of a held key are not told."""

    def released(self, combination: Combination) -> None:
        """Its key was let go; comes once after each press, also when the keyboard is lost."""

    def listening(
        self,
        problems: Mapping[Combination, str],
        trouble: str,
        triggers: Mapping[Combination, str] = MappingProxyType({}),
    ) -> None:
        """What is listened for has changed.

        ``problems`` says of each refused combination why; ``trouble`` why nothing at all can be
        heard now, "" while all is well; ``triggers`` what keys to press in place of a combination,
        in the desktop's own words, where it lets the user choose.
        """


class Keyboard(Protocol):
    """Listens for combinations, whichever window is in front. One start and one stop."""

    def start(self) -> None:
        """Begin; returns at once."""

    def watch(self, combinations: Collection[Combination]) -> None:
        """Listen for these from now on and for no others; any thread may call it.

        A mapping says of each what it is for.
        """

    def stop(self) -> None:
        """End, and give every key back."""


MakeKeyboard = Callable[[Listener], Keyboard]
"""Makes the keyboard that tells a listener."""
