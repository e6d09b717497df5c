"""A sink that takes frames and shows them nowhere, for measuring."""

from __future__ import annotations

from obs_stylizer.frames import Frame
from obs_stylizer.sinks.base import Sink, SinkFormat


class NullSink(Sink):
    """Takes every frame and forgets it."""

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`."""
        return f"nowhere ({form.frame_size} at {form.fps:g} fps)"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""

    @property
    def watched(self) -> bool | None:
        """See :class:`Sink`: it is there to measure, and what is measured must not sleep."""
        return None

    def close(self) -> None:
        """See :class:`Sink`."""
