"""What every source is: opened, read frame by frame, closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.frames import Frame, FrameSize, Pixels


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source turned out to be once it was open.

    Attributes:
        name: for people, such as the camera's name or the file's.
        frame_size: of the frames it gives now; a later frame may differ.
        fps: frames a second it means to give; None where it does not say.
        detail: what was asked for and what was got, in words.
    """

    name: str
    frame_size: FrameSize
    fps: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the daemon would like; a source takes the nearest it can.

    Attributes:
        frame_size: wished for; a file or picture keeps its own.
        fps: wished for; None for the source's own rate.
        paced: give frames at their own time (live); False gives them as fast as they are read.
        clock: where time comes from.
    """

    frame_size: FrameSize = field(default_factory=lambda: FrameSize(1280, 720))
    fps: float | None = None
    paced: bool = True
    clock: Clock = field(default_factory=SystemClock)


class Source(ABC):
    """Gives frames. One thread opens, reads and closes; ``close`` may come from any thread."""

    @abstractmethod
    def open(self) -> SourceInfo:
        """Make ready to read; after :class:`SourceLostError` it may be called again.

        Raises:
            SourceLostError: not there now, but it may come (unplugged, busy).
            SourceError: it can never work (no such file, no video in it).
        """

    @abstractmethod
    def read(self, timeout: float) -> Frame | None:
        """Return the next frame, or None if none came within ``timeout`` seconds.

        ``sequence`` counts up over reopenings. ``captured_at`` is when the picture was taken
        or, for a file, when it fell due. The pixels may be overwritten by the next call.

        Raises:
            SourceLostError: it went away; close and reopen it later.
            SourceEndedError: that was the last frame.
            SourceError: it cannot go on.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the device or file. May be called twice, and before ``open``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AnsweredSource(Source):
    """A source that shows in the place of its frames what was made of them.

    ``read`` may run on one thread while another calls the rest.
    """

    @abstractmethod
    def answer(
        self,
        captured_at: float,
        styled: Pixels,
        alpha: Pixels | None = None,
        *,
        mirrored: bool,
    ) -> None:
        """Give back what was made of a frame; one that is too old, or unknown, is left out.

        Args:
            captured_at: that frame's.
            styled: uint8 (height, width, 3), RGB, of the shape of the wished frame size; copied.
            alpha: uint8 (height, width), how much of it lies over the colour that stands for
                nothing, 255 all; None where all of it does.
            mirrored: left and right were exchanged.
        """

    @abstractmethod
    def beat(self) -> None:
        """Leave a sign of life of whoever answers."""

    @abstractmethod
    def describe(self, on_air: str, panel: str = "") -> None:
        """Say there what its frames are turned into, and where our panel is."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Name of what is shown there, as the OBS source's; "" while it is not open."""

    @property
    @abstractmethod
    def preset(self) -> str:
        """Name of the preset that is asked for there; "" for none."""

    @abstractmethod
    def offer(self, presets: Sequence[str]) -> None:
        """Say there which presets can be asked for."""

    @abstractmethod
    def freeze(self, *, frozen: bool) -> None:
        """Go on showing the last answer, or show new ones again."""
