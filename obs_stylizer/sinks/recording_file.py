"""A video file that stays playable however its writing ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
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
        try:
            self._container: OutputContainer = av.open(
                os.path.abspath(path),  # noqa: PTH100
                "w",
                container_options=_CONTAINERS[path.suffix.lower()],
            )
        except (av.FFmpegError, OSError) as error:
            raise SinkError(f"cannot write {path}: {error}", "choose another folder") from error
        try:
            self._stream = self._add_stream(fps)
            self._container.start_encoding()
        except (av.FFmpegError, ValueError, OSError) as error:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
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
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

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
