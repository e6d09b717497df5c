"""What was on air before each change that somebody made."""

from __future__ import annotations

from typing import Final

from obs_stylizer.control.preset_effects import PresetChoice

REMEMBERED: Final = 50

_ONE_GESTURE_SECONDS: Final = 1.0


class UndoHistory:
    """The last choices that can be gone back to, newest last."""

    def __init__(self) -> None:
        self._past: list[PresetChoice] = []
        self._gesture: tuple[str, float] = ("", float("-inf"))

    def remember(self, choice: PresetChoice | None) -> None:
        """Keep what was there before a change; None where nothing was."""
        if choice is not None:
            self._past.append(choice)
            del self._past[:-REMEMBERED]

    def remember_gesture(self, kind: str, choice: PresetChoice | None, now: float) -> None:
        """Keep what was there before a slider was moved, once for the whole movement.

        Args:
            kind: of slider.
            choice: what is there.
            now: seconds of the clock.
        """
        last_kind, last_at = self._gesture
        if kind != last_kind or now - last_at > _ONE_GESTURE_SECONDS:
            self.remember(choice)
        self._gesture = (kind, now)

    def take(self) -> PresetChoice | None:
        """Return the newest and forget it; None if there is none."""
        self._gesture = ("", float("-inf"))
        return self._past.pop() if self._past else None
