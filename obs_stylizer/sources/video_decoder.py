"""The first video stream of a file as pictures, one after another, and again from the start."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from obs_stylizer.errors import SourceError
from obs_stylizer.frames import FrameSize, Pixels

log = logging.getLogger(__name__)

FALLBACK_FPS: Final = 25.0

# The inference wants the cores more than the decoder does, and 720p needs no more.
_MAX_THREADS: Final = 4
# A jump of the time stamps that is taken for an error in the file, in seconds.
_LEAP_SECONDS: Final = 60.0
# Broken packets in a row after which the file is taken to have ended.
_MAX_ERRORS: Final = 200
# What players do where a file does not say: pictures this high are BT.709, smaller ones BT.601.
_HD_HEIGHT: Final = 720

# AVColorSpace of BT.709, FCC, BT.470BG, SMPTE 170M, SMPTE 240M and BT.2020.
_KNOWN_MATRICES: Final = frozenset({1, 4, 5, 6, 7, 9})

_TURNS: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
    -90: cv2.ROTATE_90_CLOCKWISE,
}


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
    _reformatter: VideoReformatter
    _pixels: Pixels | None = None

    @property
    def size(self) -> FrameSize:
        """Its size once it is upright."""
        if abs(self._frame.rotation) == 90:
            return FrameSize(self._frame.height, self._frame.width)
        return FrameSize(self._frame.width, self._frame.height)

    def to_rgb(self) -> Pixels:
        """Return it upright as uint8 (height, width, 3) RGB; the work is done once."""
        if self._pixels is None:
            self._pixels = self._convert()
        return self._pixels

    def _convert(self) -> Pixels:
        frame = self._frame
        matrix = frame.colorspace
        if matrix not in _KNOWN_MATRICES:
            matrix = Colorspace.ITU709 if frame.height >= _HD_HEIGHT else Colorspace.ITU601
        rgb = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            # Only a stream that says so uses all 256 levels.
            src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        picture = rows[: rgb.height, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)
        turn = _TURNS.get(frame.rotation)
        if turn is not None:
            picture = cast(Pixels, cv2.rotate(picture, turn))
        return np.ascontiguousarray(picture)


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == ColorRange.JPEG or frame.format.name.startswith(("yuvj", "rgb"))


class VideoDecoder:
    """Decodes a file from start to end as often as it is told to.

    Args:
        path: the file.

    Raises:
        SourceError: there is no such file, it is no video, or there is only sound in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reformatter = VideoReformatter()
        self._warned = False
        self._seekable = True
        self._origin: float | None = None
        self._container, self._stream = self._open()
        rate = self._stream.average_rate or self._stream.guessed_rate
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
        self._errors = 0
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

    def _open(self) -> tuple[InputContainer, VideoStream]:
        path = self._path
        if not path.exists():
            raise SourceError(f"there is no file {path}", "check the path after file:")
        if path.is_dir():
            raise SourceError(f"{path} is a folder", "name one video in it")
        try:
            # Absolute, since FFmpeg takes "a:b.mp4" for the protocol "a".
            container = av.open(os.path.abspath(path), metadata_errors="ignore")  # noqa: PTH100
        except PermissionError as error:
            raise SourceError(f"may not read {path}", "change its permissions") from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(
                f"{path.name} is no video, or is cut off before its index ({error})",
                "choose another file, or convert it again",
            ) from error
        streams = [
            stream
            for stream in container.streams.video
            # The cover of a song is a video stream of one picture, but no video.
            if not stream.disposition & av.stream.Disposition.attached_pic
        ]
        if not streams:
            container.close()
            raise SourceError(f"there is no picture in {path.name}", "choose a file with video")
        stream = streams[0]
        if stream.codec_context is None:
            container.close()
            raise SourceError(f"{path.name} uses an unknown codec", "convert it to H.264")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        return container, stream

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = self._open()

    def _start_round(self) -> None:
        self._errors = 0
        self._offset = 0.0
        self._previous: float | None = None
        self._frames = self._decode()

    def _decode(self) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a broken one costs itself and not the rest."""
        in_a_row = 0
        packets = self._container.demux(self._stream)
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
                self._warn("%s is damaged, what can be shown is shown: %s", error)
                continue
            if frames:
                in_a_row = 0
            yield from frames

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
        return DecodedFrame(time, step, frame, self._reformatter)

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
            self._warn("%s is cut off: %s", f"it ends after {played:.1f} of {stated:.1f} seconds")

    def _warn(self, text: str, detail: object) -> None:
        if not self._warned:
            self._warned = True
            log.warning(text, self._path.name, detail)
