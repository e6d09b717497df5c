"""The first video stream of a file as pictures, one after another, and again from the start."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.video.frame import VideoFrame

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.sources.frame_conversion import FrameConverter
from obs_stylizer.sources.video_container import decoded_frames, open_video
from obs_stylizer.sources.video_rate import FASTEST_CAMERA, measured_rate, stated_rate

log = logging.getLogger(__name__)

FALLBACK_FPS: Final = 25.0

_MEASURED_PACKETS: Final = 300

# A jump of the time stamps that is taken for an error in the file, in seconds.
_LEAP_SECONDS: Final = 60.0


@dataclass(slots=True)
class DecodedFrame:
    """One picture as it was decoded; it becomes RGB only when it is asked to.

    Attributes:
        time: seconds since the first frame of the file.
        duration: seconds it means to stand.
    """

    time: float
    duration: float
    _frame: VideoFrame
    _converter: FrameConverter
    _pixels: Pixels | None = None

    @property
    def size(self) -> FrameSize:
        """Its size once it is upright."""
        return self._converter.size(self._frame)

    @property
    def barred(self) -> FrameSize | None:
        """Its own size where bars were put around it, since it is of another shape."""
        own, size = self._converter.own_size(self._frame), self.size
        same = own.width * size.height == own.height * size.width
        return None if same else own

    def to_rgb(self) -> Pixels:
        """Return it upright as uint8 (height, width, 3) RGB; the work is done once."""
        if self._pixels is None:
            self._pixels = self._converter(self._frame)
        return self._pixels


class VideoDecoder:
    """Decodes a file from start to end as often as it is told to.

    Args:
        path: the file.

    Raises:
        SourceError: there is no such file, it is no video, or there is only sound in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._converter = FrameConverter(path.name)
        self._warned = False
        self._seekable = True
        self._origin: float | None = None
        self._container, self._stream = open_video(self._path, self._path.name)
        rate = stated_rate(self._stream)
        if rate is None or rate > FASTEST_CAMERA:
            rate = self._measured_rate() or rate
        self.fps: float | None = float(rate) if rate else None
        context = self._stream.codec_context
        self.detail = (
            f"{context.name} {context.width}x{context.height}, "
            f"{f'{self.fps:.4g} fps' if self.fps else 'no stated rate'}, "
            f"{self._container.format.name.partition(',')[0]}"
        )
        self._start_round()

    def next_frame(self) -> DecodedFrame | None:
        """Return the next picture, or None after the last one."""
        frame = next(self._frames, None)
        if frame is None:
            self._check_length()
            return None
        return self._timed(frame)

    def rewind(self) -> None:
        """Start over.

        Raises:
            SourceError: the file went away meanwhile.
        """
        if self._seekable:
            try:
                start = self._stream.start_time or 0
                self._container.seek(start, stream=self._stream, backward=True)
            except (av.FFmpegError, ValueError):
                self._seekable = False
        if not self._seekable:
            self._reopen()
        self._start_round()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._container.close()

    def _measured_rate(self) -> Fraction | None:
        container, stream = open_video(self._path, self._path.name)
        with container:
            stamps = [
                packet.pts
                for packet in itertools.islice(container.demux(stream), _MEASURED_PACKETS)
                if packet.pts is not None
            ]
        return None if stream.time_base is None else measured_rate(stamps, stream.time_base)

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = open_video(self._path, self._path.name)

    def _start_round(self) -> None:
        self._offset = 0.0
        self._previous: float | None = None
        self._frames = decoded_frames(self._container, self._stream, self._warn)

    def _timed(self, frame: VideoFrame) -> DecodedFrame:
        step = self._duration(frame)
        if frame.pts is not None and frame.time_base is not None:
            stamp = float(frame.pts * Fraction(frame.time_base))
            if self._origin is None:
                self._origin = stamp
            time = stamp - self._origin + self._offset
        else:
            time = 0.0 if self._previous is None else self._previous + step
        if self._previous is None:
            if time > step * 1.5:
                # The seek did not reach the start: this file has to be opened anew.
                self._seekable = False
                self._offset -= time
                time = 0.0
            time = max(0.0, time)
        elif not 0 <= time - self._previous <= _LEAP_SECONDS:
            self._offset += self._previous + step - time
            time = self._previous + step
        self._previous = time
        return DecodedFrame(time, step, frame, self._converter)

    def _duration(self, frame: VideoFrame) -> float:
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        return 1.0 / (self.fps or FALLBACK_FPS)

    def _check_length(self) -> None:
        stream = self._stream
        if self._previous is None or not stream.duration or stream.time_base is None:
            stated = (self._container.duration or 0) / av.time_base
            if any(other.type == "audio" for other in self._container.streams):
                return  # the sound may be longer than the picture
        else:
            stated = float(stream.duration * stream.time_base)
        played = self._previous or 0.0
        if stated - played > max(1.0, stated * 0.05):
            self._warn(f"is cut off: it ends after {played:.1f} of {stated:.1f} seconds")

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s %s", self._path.name, what)
