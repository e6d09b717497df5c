"""Which frames a video file has, told by its packets, so that work can begin anywhere in it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.sources.continuity import Continuity

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

Stamps = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The time stamps of all frames, in the stream's own units.

    Attributes:
        stamps: of every frame, rising.
        keys: of the frames that decoding can begin at, rising.
    """

    stamps: Stamps
    keys: Stamps

    def __len__(self) -> int:
        return len(self.stamps)

    def ordinal(self, stamp: int) -> int:
        """Return the number of the frame shown at ``stamp``, counted from 0."""
        return max(0, int(np.searchsorted(self.stamps, stamp, side="right")) - 1)

    def seek_stamp(self, ordinal: int) -> int | None:
        """Return where to seek to decode frame ``ordinal``; None for the start of the file.

        It is the keyframe before the one just before: pictures that follow a keyframe may lean
        on those ahead of it.
        """
        if ordinal >= len(self.stamps):
            return None
        before = int(np.searchsorted(self.keys, self.stamps[ordinal], side="right")) - 1
        return int(self.keys[before - 1]) if before >= 1 else None


def index_frames(
    container: InputContainer, stream: VideoStream
) -> tuple[FrameIndex | None, list[Fraction]]:
    """Read through all packets of ``stream``; nothing is decoded.

    Returns:
        The index; None where time stamps are missing or double, or jump, since frames can only be
        counted then. And the seconds that are added after every jump.
    """
    continuity = Continuity(container)
    stamps: list[int] = []
    keys: list[int] = []
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError):
            return None, continuity.offsets
        if packet is None:
            break
        # The last one is empty, and those marked so are cut away by an edit list.
        if not packet.size or packet.is_discard:
            continue
        continuity.correct(packet)
        if packet.pts is None:
            return None, continuity.offsets
        stamps.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
    rising = np.unique(np.array(stamps, np.int64))
    if not stamps or len(rising) != len(stamps) or continuity.offsets:
        return None, continuity.offsets
    return FrameIndex(rising, np.unique(np.array(keys, np.int64))), []
