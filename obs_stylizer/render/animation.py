"""The pictures of one file, such as an animated WebP, as a film."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import size_of
from obs_stylizer.pictures import read_animation
from obs_stylizer.render.clip import ClipFrame, ClipInfo, Footage, file_stamp
from obs_stylizer.render.frame_index import FrameIndex
from obs_stylizer.render.pictures import PICTURE_COLOUR
from obs_stylizer.sources.frame_conversion import FrameConverter
from obs_stylizer.sources.video_decoder import DecodedFrame

# Files count in thousandths of a second.
_TICK: Final = Fraction(1, 1000)


class Animation(Footage):
    """The pictures of one file, each shown as long as the file says.

    Args:
        path: the file.

    Raises:
        SourceError: there is no such file, it cannot be read, or there is only one picture in it.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        ticks: list[int] = []
        for picture in read_animation(path):
            if picture.count == 1:
                raise SourceError(
                    f"{path.name} is one picture, and no film",
                    "give -o a name that ends in .png or .jpg",
                )
            if not ticks:
                size = size_of(picture.pixels)
            ticks.append(max(1, round(picture.seconds / _TICK)))
        self._ticks = ticks
        stamps = np.concatenate([[0], np.cumsum(ticks)[:-1]]).astype(np.int64)
        self._index = FrameIndex(stamps, stamps)
        self.info = ClipInfo(
            name=path.name,
            size=size,
            rate=(len(ticks) / (sum(ticks) * _TICK)).limit_denominator(1001),
            time_base=_TICK,
            origin=0,
            colour=PICTURE_COLOUR,
            pixel_format="rgb24",
            aspect=None,
        )

    def frames(self, first: int = 0) -> Iterator[ClipFrame]:
        """See :class:`Footage`.

        Raises:
            SourceError: the file has changed meanwhile.
        """
        converter = FrameConverter(self.name)
        pictures = zip(read_animation(self._path), self._index.stamps, self._ticks, strict=False)
        for number, (read, stamp, ticks) in enumerate(pictures):
            if number < first:
                continue
            frame = av.VideoFrame.from_ndarray(read.pixels, format="rgb24")
            frame.pts, frame.time_base = int(stamp), _TICK
            seconds = float(int(stamp) * _TICK)
            picture = DecodedFrame(seconds, float(ticks * _TICK), frame, converter)
            yield ClipFrame(number, int(stamp), ticks, seconds, picture, frame)

    def frame_count(self) -> int | None:
        """See :class:`Footage`."""
        return len(self._ticks)

    def index(self) -> FrameIndex | None:
        """See :class:`Footage`."""
        return self._index

    def stamp(self) -> object:
        """See :class:`Footage`."""
        return file_stamp(self._path)

    def close(self) -> None:
        """See :class:`Footage`; nothing is held open."""
