"""A clip to be rendered: what it is, and its frames in order, each once, with its own time."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.colour import Colour, colour_of, layout_of
from obs_stylizer.render.deinterlacing import deinterlaced
from obs_stylizer.render.frame_index import FrameIndex, index_frames
from obs_stylizer.sources.frame_conversion import FrameConverter
from obs_stylizer.sources.orientation import orientation_of
from obs_stylizer.sources.video_container import decoded_frames, open_video
from obs_stylizer.sources.video_decoder import DecodedFrame
from obs_stylizer.sources.video_rate import believed_rate, measured_rate, stated_rate

log = logging.getLogger(__name__)

_FALLBACK_RATE: Final = Fraction(25)
_MAX_RATE: Final = 1000


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What a clip is.

    Attributes:
        name: for people.
        size: of its pictures, upright.
        rate: frames a second, on average.
        time_base: seconds of one tick of its time stamps.
        origin: time stamp of the first frame that can be shown, in ticks.
        colour: what its numbers mean.
        pixel_format: FFmpeg's name of its layout.
        aspect: width of one pixel by its height, upright; None where they are square.
    """

    name: str
    size: FrameSize
    rate: Fraction
    time_base: Fraction
    origin: int
    colour: Colour
    pixel_format: str
    aspect: Fraction | None


@dataclass(slots=True)
class ClipFrame:
    """A frame of a clip.

    Attributes:
        ordinal: its number in the clip, from 0.
        stamp: its time stamp in ticks; rises from frame to frame.
        ticks: how long it stands.
        seconds: since the clip's first frame.
        picture: its pixels, converted when they are asked for.
        decoded: the same as it came from the decoder, not yet upright.
    """

    ordinal: int
    stamp: int
    ticks: int
    seconds: float
    picture: DecodedFrame
    decoded: VideoFrame


class Footage(ABC):
    """Frames in order. One thread at a time.

    Attributes:
        name: for people.
        info: what it is.
    """

    name: str
    info: ClipInfo

    @abstractmethod
    def frames(self, first: int = 0) -> Iterator[ClipFrame]:
        """Yield the frames from number ``first`` on. One such walk at a time."""

    @abstractmethod
    def frame_count(self) -> int | None:
        """Number of frames; None where nobody says."""

    @abstractmethod
    def index(self) -> FrameIndex | None:
        """Return all time stamps; None where frames can only be counted."""

    @abstractmethod
    def stamp(self) -> object:
        """Return what changes when the frames do, as JSON can hold it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Clip(Footage):
    """A video file, or a stream that can be read only once.

    Args:
        source: the file, or an open binary stream.
        name: of a stream, for people.
        form: FFmpeg's name of the container, where it cannot be told by looking.

    Attributes:
        offsets: seconds that are added to its time stamps after every jump of its clock.

    Raises:
        SourceError: there is no such file, it is no video, or there is only sound in it.
    """

    def __init__(self, source: Path | IO[bytes], name: str = "", form: str | None = None) -> None:
        self._source = source
        self._form = form
        self.name = source.name if isinstance(source, Path) else name
        self._index: FrameIndex | None = None
        self.offsets: list[Fraction] = []
        self._indexed = False
        self._warned = False
        self.container, self.stream = self._opened()
        self._first: VideoFrame | None
        self.info, self._first = self._look_at_first_frame()

    @property
    def path(self) -> Path | None:
        """Its file; None for a stream."""
        return self._source if isinstance(self._source, Path) else None

    def index(self) -> FrameIndex | None:
        """See :class:`Footage`; the file is read through once."""
        if not self._indexed and isinstance(self._source, Path):
            container, stream = self._opened()
            with container:
                self._index, self.offsets = index_frames(container, stream)
            self._indexed = True
        return self._index

    def frame_count(self) -> int | None:
        """See :class:`Footage`."""
        index = self.index()
        if index is not None:
            return len(index)
        if self.stream.frames:
            return self.stream.frames
        duration = self.container.duration
        return round(duration / av.time_base * self.info.rate) if duration else None

    def frames(self, first: int = 0) -> Iterator[ClipFrame]:
        """See :class:`Footage`."""
        index = self.index()
        if first > 0 and index is not None:
            walk = self._walk_from(index, first)
            head = next(walk, None)
            if head is not None and head.ordinal <= first:
                yield from _from(first, head, walk)
                return
            log.debug("%s: seeking did not reach frame %d", self.name, first)
        self._rewind()
        yield from (frame for frame in self._numbered(0) if frame.ordinal >= first)

    def close(self) -> None:
        """See :class:`Footage`."""
        self.container.close()

    def stamp(self) -> object:
        """See :class:`Footage`."""
        if self.path is None:
            return None
        return file_stamp(self.path)

    def reopened(self) -> InputContainer:
        """Return its file once more, from the start; whoever asks closes it."""
        return open_video(self._source, self.name, self._form)[0]

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        container, stream = open_video(self._source, self.name, self._form)
        if container.format.name.endswith("_pipe"):
            # FFmpeg's name for the files of single pictures.
            container.close()
            raise SourceError(
                f"{self.name} is a picture of a kind that is not read", "save it as PNG or JPEG"
            )
        return container, stream

    def _decode_on(self) -> Iterator[VideoFrame]:
        return decoded_frames(self.container, self.stream, self._warn)

    def _look_at_first_frame(self) -> tuple[ClipInfo, VideoFrame]:
        self._decoded = self._decode_on()
        frame = next(self._decoded, None)
        if frame is None:
            self.container.close()
            raise SourceError(
                f"there is not one frame in {self.name}", "it may be cut off; choose another file"
            )
        stream = self.stream
        rate = self._rate()
        time_base = stream.time_base or frame.time_base or 1 / rate
        orientation = orientation_of(frame)
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        if not aspect or aspect == 1:
            aspect = None
        elif orientation.transposed:
            aspect = 1 / aspect
        size = orientation.size(frame.width, frame.height)
        self._converter = FrameConverter(self.name, size)
        self._converter.look_at(frame)
        info = ClipInfo(
            name=self.name,
            size=size,
            rate=rate,
            time_base=Fraction(time_base),
            origin=frame.pts if frame.pts is not None else 0,
            colour=colour_of(frame),
            pixel_format=layout_of(frame),
            aspect=aspect,
        )
        return info, frame

    def _rate(self) -> Fraction:
        measured = None
        index, time_base = self.index(), self.stream.time_base
        if index is not None and time_base is not None:
            measured = measured_rate(index.stamps, time_base)
        rate = believed_rate(stated_rate(self.stream), measured)
        return rate if rate is not None and 0 < rate <= _MAX_RATE else _FALLBACK_RATE

    def _rewind(self) -> None:
        """Begin at the start, again if need be."""
        if self._first is not None:
            # Nothing but the first frame was read so far: a stream can be read only once.
            first, self._first = self._first, None
            rest = self._decoded

            def again() -> Iterator[VideoFrame]:
                yield first
                yield from rest

            self._decoded = again()
            return
        self.container.close()
        self.container, self.stream = self._opened()
        self._decoded = self._decode_on()

    def _walk_from(self, index: FrameIndex, first: int) -> Iterator[ClipFrame]:
        """Seek so far ahead of ``first`` that it comes out as if decoded from the start."""
        # One frame more, since deinterlacing looks at neighbours.
        stamp = index.seek_stamp(max(0, first - 2))
        self._first = None
        self.container.close()
        self.container, self.stream = self._opened()
        if stamp is not None:
            try:
                self.container.seek(stamp, stream=self.stream, backward=True)
            except (av.FFmpegError, ValueError) as error:
                log.debug("%s cannot be sought: %s", self.name, error)
        self._decoded = self._decode_on()
        return self._numbered(None)

    def _numbered(self, ordinal: int | None) -> Iterator[ClipFrame]:
        """Give each frame its number and time; ``ordinal`` None reads the number off the time."""
        info, index = self.info, self.index()
        per_frame = 1 / (info.rate * info.time_base)
        origin = float(info.origin * info.time_base)
        last: int | None = None
        for frame in deinterlaced(self._decoded, info.time_base):
            ticks = frame.duration or max(1, round(per_frame))
            stamp = frame.pts
            if stamp is None:
                stamp = info.origin if last is None else last + max(1, round(per_frame))
            if last is not None and stamp <= last:
                self._warn("has time stamps that go back; these frames are moved")
                stamp = last + 1
            last = stamp
            if index is not None:
                number = index.ordinal(stamp)
            else:
                assert ordinal is not None
                number = ordinal
                ordinal += 1
            seconds = float(stamp * info.time_base) - origin
            picture = DecodedFrame(seconds, float(ticks * info.time_base), frame, self._converter)
            yield ClipFrame(number, stamp, ticks, seconds, picture, frame)

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s %s", self.name, what)


def file_stamp(path: Path) -> list[object]:
    """Return what changes when a file does, as JSON can hold it."""
    stat = path.stat()
    return [
        os.fsencode(path.absolute()).decode(errors="backslashreplace"),
        stat.st_size,
        stat.st_mtime_ns,
    ]


def _from(first: int, head: ClipFrame, walk: Iterator[ClipFrame]) -> Iterator[ClipFrame]:
    if head.ordinal == first:
        yield head
    yield from (frame for frame in walk if frame.ordinal >= first)
