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
from typing import IO, Any, Final, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.colour import Colour, colour_of
from obs_stylizer.render.deinterlacing import deinterlaced
from obs_stylizer.render.frame_index import FrameIndex, index_frames
from obs_stylizer.sources.video_decoder import DecodedFrame

log = logging.getLogger(__name__)

_FALLBACK_RATE: Final = Fraction(25)
_MAX_RATE: Final = 1000
_MAX_THREADS: Final = 4
# Broken packets in a row after which the file is taken to have ended.
_MAX_ERRORS: Final = 200


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

    Raises:
        SourceError: there is no such file, it is no video, or there is only sound in it.
    """

    def __init__(self, source: Path | IO[bytes], name: str = "", form: str | None = None) -> None:
        self._source = source
        self._form = form
        self.name = source.name if isinstance(source, Path) else name
        self._index: FrameIndex | None = None
        self._indexed = False
        self._warned = False
        self.container, self.stream = self._open()
        self._first: VideoFrame | None
        self.info, self._first = self._look_at_first_frame()

    @property
    def path(self) -> Path | None:
        """Its file; None for a stream."""
        return self._source if isinstance(self._source, Path) else None

    def index(self) -> FrameIndex | None:
        """See :class:`Footage`; the file is read through once."""
        if not self._indexed and isinstance(self._source, Path):
            container, stream = self._open()
            with container:
                self._index = index_frames(container, stream)
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

    def _open(self) -> tuple[InputContainer, VideoStream]:
        container = self._open_container()
        videos = [
            stream
            for stream in container.streams.video
            # The cover of a song is a video stream of one picture, but no video.
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not videos:
            sound = bool(container.streams.audio)
            container.close()
            raise SourceError(
                f"there is no picture in {self.name}, only sound"
                if sound
                else f"there is no picture in {self.name}",
                "choose a file with video",
            )
        stream = videos[0]
        if stream.codec_context is None:
            container.close()
            raise SourceError(f"{self.name} uses an unknown codec", "convert it to H.264")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        return container, stream

    def _open_container(self) -> InputContainer:
        source: Any = self._source
        if isinstance(source, Path):
            if not source.exists():
                raise SourceError(f"there is no file {source}", "check the path")
            if source.is_dir():
                raise SourceError(f"{source} is a folder", "name one video in it")
            # Absolute, since FFmpeg takes "a:b.mp4" for the protocol "a".
            source = os.path.abspath(source)  # noqa: PTH100
        try:
            container: InputContainer = av.open(source, format=self._form, metadata_errors="ignore")
        except PermissionError as error:
            raise SourceError(f"may not read {self.name}", "change its permissions") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{self.name} is no video, or is cut off before its index ({error})",
                "choose another file, or convert it again",
            ) from error
        return container

    def _look_at_first_frame(self) -> tuple[ClipInfo, VideoFrame]:
        self._decoded = self._decode()
        frame = next(self._decoded, None)
        if frame is None:
            self.container.close()
            raise SourceError(
                f"there is not one frame in {self.name}", "it may be cut off; choose another file"
            )
        stream = self.stream
        rate = stream.average_rate or stream.guessed_rate or _FALLBACK_RATE
        if not 0 < rate <= _MAX_RATE:
            rate = _FALLBACK_RATE
        time_base = stream.time_base or frame.time_base or 1 / rate
        turned = abs(frame.rotation) == 90
        aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
        if not aspect or aspect == 1:
            aspect = None
        elif turned:
            aspect = 1 / aspect
        width, height = frame.width, frame.height
        info = ClipInfo(
            name=self.name,
            size=FrameSize(height, width) if turned else FrameSize(width, height),
            rate=Fraction(rate),
            time_base=Fraction(time_base),
            origin=frame.pts if frame.pts is not None else 0,
            colour=colour_of(frame),
            pixel_format=frame.format.name,
            aspect=aspect,
        )
        return info, frame

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
        self.container, self.stream = self._open()
        self._decoded = self._decode()

    def _walk_from(self, index: FrameIndex, first: int) -> Iterator[ClipFrame]:
        """Seek so far ahead of ``first`` that it comes out as if decoded from the start."""
        # One frame more, since deinterlacing looks at neighbours.
        stamp = index.seek_stamp(max(0, first - 2))
        self._first = None
        self.container.close()
        self.container, self.stream = self._open()
        if stamp is not None:
            try:
                self.container.seek(stamp, stream=self.stream, backward=True)
            except (av.FFmpegError, ValueError) as error:
                log.debug("%s cannot be sought: %s", self.name, error)
        self._decoded = self._decode()
        return self._numbered(None)

    def _numbered(self, ordinal: int | None) -> Iterator[ClipFrame]:
        """Give each frame its number and time; ``ordinal`` None reads the number off the time."""
        info, index = self.info, self.index()
        per_frame = 1 / (info.rate * info.time_base)
        origin = float(info.origin * info.time_base)
        last: int | None = None
        reformatter = VideoReformatter()
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
            picture = DecodedFrame(seconds, float(ticks * info.time_base), frame, reformatter)
            yield ClipFrame(number, stamp, ticks, seconds, picture, frame)

    def _decode(self) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a broken one costs itself and not the rest."""
        in_a_row = 0
        packets = self.container.demux(self.stream)
        while in_a_row < _MAX_ERRORS:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode()
            except EOFError:
                return
            except (av.FFmpegError, ValueError) as error:
                in_a_row += 1
                self._warn(f"is damaged, what can be shown is rendered: {error}")
                continue
            if frames:
                in_a_row = 0
            yield from frames

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
