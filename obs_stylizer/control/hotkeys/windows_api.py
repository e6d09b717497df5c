"""The few things that hotkeys ask of Windows."""

from __future__ import annotations

from typing import Final, Protocol

ALREADY_REGISTERED: Final = 1409
"""Error number of a combination that another program has."""


class WindowsApi(Protocol):
    """What is asked of Windows. All but :meth:`wake` by one and the same thread."""

    def begin(self) -> None:
        """Make the thread one that can be sent messages."""

    def register(self, number: int, modifiers: int, key: int) -> int:
        """Ask for a combination; returns 0, or the number of the error."""

    def unregister(self, number: int) -> None:
        """Give a combination back."""

    def wait(self, seconds: float) -> list[int]:
        """Wait for a press or a wake-up; returns the numbers of what was pressed."""

    def wake(self) -> None:
        """End the wait of the other thread."""

    def is_down(self, key: int) -> bool:
        """Whether a key is held now."""
