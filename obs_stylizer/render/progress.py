"""How far a rendering is, told to whoever shows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_WINDOW_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a rendering.

    Attributes:
        frame: frames done.
        frames: in all; None where the clip does not say.
        fps: frames a second lately; 0 at the beginning.
        seconds_left: None where it cannot be said.
        stage: ``rendering`` or ``muxing``.
    """

    frame: int
    frames: int | None
    fps: float
    seconds_left: float | None
    stage: str = "rendering"


Report = Callable[[Progress], None]


class Pace:
    """Turns counts and times into a :class:`Progress`.

    Args:
        frames: in all; None where nobody knows.
    """

    def __init__(self, frames: int | None) -> None:
        self._frames = frames
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, moment: float, done: int, stage: str = "rendering") -> Progress:
        """Return the progress ``moment`` (any clock, in seconds) after ``done`` frames."""
        self._seen.append((moment, done))
        while len(self._seen) > 2 and moment - self._seen[0][0] > _WINDOW_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        fps = (done - before) / (moment - then) if moment > then else 0.0
        left = None
        if self._frames is not None and fps > 0:
            left = max(0, self._frames - done) / fps
        return Progress(done, self._frames, fps, left, stage)
