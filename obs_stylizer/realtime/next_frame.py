"""The frame after the one that is being styled, so that its picture can begin at once."""

from __future__ import annotations

from obs_stylizer.frames import Frame
from obs_stylizer.realtime.mailbox import FrameSlot


class NextFrame:
    """Takes frames out of a slot, and looks at the next one ahead of its time. One thread only.

    Args:
        slot: where frames come from.
        replaces: a newer frame replaces the one that was looked at; False to leave none out.
    """

    def __init__(self, slot: FrameSlot, *, replaces: bool = True) -> None:
        self._slot = slot
        self._replaces = replaces
        self._current: Frame | None = None
        self._ahead: Frame | None = None
        self.replaced = 0
        """Frames that were looked at, and not taken because a newer one came."""

    def take(self, timeout: float) -> Frame | None:
        """Return the frame that was looked at last, or as :meth:`FrameSlot.take`.

        It stays untouched until the next call.
        """
        frame, self._ahead = self._ahead, None
        if frame is None:
            frame = self._slot.take(timeout)
        self._current = frame or self._current
        return frame

    def look(self, timeout: float) -> Frame | None:
        """Return a frame newer than those seen so far: what :meth:`take` will return next.

        Returns:
            None where none comes within ``timeout`` seconds, or when :meth:`wake` was called.
        """
        if self._ahead is not None and not self._replaces:
            return None
        frame = self._slot.take(timeout, keep=self._current)
        if frame is not None:
            self.replaced += self._ahead is not None
            self._ahead = frame
        return frame

    def wake(self) -> None:
        """Let whoever waits go on without a frame. Any thread."""
        self._slot.wake()
