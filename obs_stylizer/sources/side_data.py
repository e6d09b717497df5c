"""What a decoded frame carries besides its picture."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame, kind: Type) -> bytes | None:
    """Return the bytes of one kind of side data, in FFmpeg's layout; None where there is none."""
    entries: Any = frame.side_data
    return next((bytes(entry) for entry in entries if entry.type == kind), None)
