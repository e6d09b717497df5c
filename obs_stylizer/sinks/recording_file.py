"""A video file that stays playable however its writing ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from obs_stylizer.errors import SinkError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.segmentation.chroma import without_chroma
from obs_stylizer.sinks.recording_codec import codec_for

log = logging.getLogger(__name__)

_TIME_BASE: Final = Fraction(1, 90_000)

# Written in pieces of a second, so that a killed process or a full disk costs the last one.
_CONTAINERS: Final[dict[str, dict[str, str]]] = {
    ".mkv": {"cluster_time_limit": "1000", "flush_packets": "1"},
    ".mp4": {
        "movflags": "frag_keyframe+empty_moov+default_base_moof",
        "frag_duration": "1000000",
        "flush_packets": "1",
    },
}
_CONTAINERS[".mov"] = _CONTAINERS[".mp4"]
_CONTAINERS[".webm"] = _CONTAINERS[".mkv"]
_FORMATS: Final = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov", ".webm": "webm"}
"""FFmpeg's names."""

_MAX_THREADS: Final = 4
_KEYFRAME_SECONDS: Final = 2

# BT.601, limited range, as OpenCV converts; written into the file, because players take an
# untagged picture of this size for BT.709.
_MATRIX_SMPTE170M: Final = 6
_BT709: Final = 1
_RANGE_LIMITED: Final = 1


class RecordingFile:
    """A video that takes pictures with the time at which each is shown.

    Args:
        path: where; the folder must be there, and no file with anything in it.
        size: of every picture.
        fps: about how many there will be a second.
        codec: of :data:`~obs_stylizer.sinks.recording_codec.CODECS`. Where it keeps transparency,
            so does the file; in any other there is the colour that stands for it.

    Raises:
        SinkError: it cannot be made there, in this size, or under this suffix.
    """

    def __init__(self, path: Path, size: FrameSize, fps: float, codec: str = "h264") -> None:
        _check(path, size)
        self._codec = codec_for(codec, path.suffix.lower())
        self.path = path
        self._size = size
        self._i420: Pixels = np.empty((size.height * 3 // 2, size.width), dtype=np.uint8)
        self._reformatter = VideoReformatter()
        self._last_pts: int | None = None
        is_new = not path.exists()
        try:
            self._disk = _DiskFile(path)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error}", "choose another folder") from error
        suffix = path.suffix.lower()
        self._container: OutputContainer = av.open(
            self._disk, "w", format=_FORMATS[suffix], container_options=_CONTAINERS[suffix]
        )
        try:
            self._stream = self._add_stream(fps)
            with self._disk.errors():
                self._container.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            with contextlib.suppress(OSError):
                self._disk.close()
                if is_new:
                    path.unlink()
            raise SinkError(
                f"cannot encode {size} as {self._codec.title}: {error}", "try 1280x720, or H.264"
            ) from error

    def write(self, pixels: Pixels, seconds: float, alpha: Pixels | None = None) -> None:
        """Add a picture.

        Args:
            pixels: uint8 (height, width, 3), RGB, over the colour that stands for nothing.
            seconds: after the beginning at which it is shown.
            alpha: uint8 (height, width), 255 opaque; None where all of it is.

        Raises:
            OSError: the disk is full or was taken away.
        """
        frame = (
            self._transparent(pixels, alpha) if self._codec.keeps_alpha else self._opaque(pixels)
        )
        # A container stores whole milliseconds, and two pictures may not share one.
        step = int(0.001 / _TIME_BASE) + 1
        pts = round(seconds / _TIME_BASE)
        self._last_pts = pts if self._last_pts is None else max(pts, self._last_pts + step)
        frame.pts = self._last_pts
        frame.time_base = _TIME_BASE
        with self._disk.errors():
            self._container.mux(self._stream.encode(frame))

    def _opaque(self, pixels: Pixels) -> av.VideoFrame:
        cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420, dst=self._i420)
        return av.VideoFrame.from_ndarray(self._i420, format="yuv420p")

    def _transparent(self, pixels: Pixels, alpha: Pixels | None) -> av.VideoFrame:
        shown = pixels if alpha is None else without_chroma(pixels, alpha)
        layers = cv2.cvtColor(shown, cv2.COLOR_RGB2BGRA)
        if alpha is not None:
            layers[..., 3] = alpha
        frame = av.VideoFrame.from_ndarray(np.asarray(layers, np.uint8), format="bgra")
        if self._codec.pixel_format == "bgra":
            return frame
        return self._reformatter.reformat(
            frame,
            format=self._codec.pixel_format,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=Colorspace.ITU601,
        )

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: the end could not be written; what was written before can be played.
        """
        try:
            with self._disk.errors():
                self._container.mux(self._stream.encode(None))
        finally:
            try:
                with self._disk.errors():
                    self._container.close()
            finally:
                self._disk.close()

    def _add_stream(self, fps: float) -> VideoStream:
        rate = Fraction(fps).limit_denominator(1001)
        codec = self._codec
        stream = self._container.add_stream(codec.encoder, rate=rate, options=dict(codec.options))
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self._size.width, self._size.height
        context.pix_fmt = codec.pixel_format
        context.time_base = _TIME_BASE
        context.gop_size = max(1, round(fps * _KEYFRAME_SECONDS))
        context.thread_count = min(_MAX_THREADS, os.cpu_count() or 1)
        if codec.pixel_format != "bgra":
            context.color_range = _RANGE_LIMITED
            context.colorspace = _MATRIX_SMPTE170M
        context.color_primaries = context.color_trc = _BT709
        if codec.encoder == "libvpx-vp9":
            # Players look here before they decode the second stream that holds the transparency.
            stream.metadata["alpha_mode"] = "1"
        stream.time_base = _TIME_BASE
        return stream


class _DiskFile:
    """What FFmpeg writes through.

    PyAV holds Python's lock while FFmpeg opens a file, writes its head and closes it, and a disk
    that has to wake up takes seconds for that: the picture would stand still on every camera.
    Python's own file lets go of the lock.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb", buffering=0)
        self.seek, self.tell = self._stream.seek, self._stream.tell
        self.seekable, self.close = self._stream.seekable, self._stream.close
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of it."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as error:
            self._error = error
            raise
        return len(data)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what the disk said where FFmpeg only says that writing failed."""
        try:
            yield
        except av.FFmpegError as error:
            raise self._error or error from error


def dated(path: Path) -> Path:
    """Fill in the date and time where the name asks for it, as in ``show-%Y%m%d-%H%M%S.mkv``."""
    name = re.sub(r"%[YmdHMS]", lambda match: time.strftime(match[0]), path.name)
    return path.with_name(name).expanduser()


def _check(path: Path, size: FrameSize) -> None:
    if path.suffix.lower() not in _CONTAINERS:
        raise SinkError(
            f"a recording cannot be a “{path.suffix or path.name}” file",
            f"name it .mkv, as in file:{path.stem or 'show'}.mkv; .mp4 and .mov work too",
        )
    if size.width % 2 or size.height % 2:
        raise SinkError(f"video of {size} cannot be encoded", "choose even sides")
    if not path.parent.is_dir():
        raise SinkError(f"there is no folder {path.parent}", "make it first")
    if path.is_dir():
        raise SinkError(f"{path} is a folder", "name a file in it")
    if path.exists() and path.stat().st_size:
        raise SinkError(
            f"{path} exists already, and a recording overwrites nothing",
            f"choose another name; file:{path.stem}-%H%M%S{path.suffix} is new each second",
        )
