"""What every sink is: opened for a size and a rate, sent one frame a tick, closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from obs_stylizer.frames import Frame, FrameSize


@dataclass(frozen=True, slots=True)
class SinkFormat:
    """What the presenter will send.

    Attributes:
        frame_size: of every frame; it never changes while the sink is open.
        fps: frames a second, as the presenter's clock means to tick.
    """

    frame_size: FrameSize
    fps: float


class Sink(ABC):
    """Takes frames. One thread of its own opens, sends and closes; a slow one holds up no other."""

    @abstractmethod
    def open(self, form: SinkFormat) -> str:
        """Make ready to send; return for people where the picture can now be seen.

        Raises:
            SinkLostError: not there now, but it may come (no device yet, held by a program).
            BusyError: another obs-stylizer, or whoever has the port, holds it.
            SinkError: it can never work (no such folder, a format it cannot take).
        """

    @abstractmethod
    def send(self, frame: Frame, *, repeated: bool) -> None:
        """Send one frame; ``repeated`` says that it is the last one again.

        The pixels must not be changed and may be kept.

        Raises:
            SinkLostError: the device went away; close and reopen it later.
            SinkEndedError: it stopped for good, what it wrote is kept (a full disk).
        """

    @property
    def watched(self) -> bool | None:
        """Whether somebody looks at it now; None where that cannot be known. Any thread may ask."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Finish and let go. May be called twice, and before ``open``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
