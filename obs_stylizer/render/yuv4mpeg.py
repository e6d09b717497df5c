"""YUV4MPEG2, the plain stream of pictures that programs pass to one another in a pipe."""

from __future__ import annotations

import logging
import threading
import time
from fractions import Fraction
from typing import IO, Final

import numpy as np
from av.video.frame import VideoFrame

from obs_stylizer.errors import SinkEndedError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.clip import Footage
from obs_stylizer.render.colour import Colour, ToVideo
from obs_stylizer.render.cue_presets import CuePresets, Style
from obs_stylizer.render.director import Director
from obs_stylizer.render.file_render import RenderStoppedError, Result
from obs_stylizer.render.pipeline import Boundary, Stretch, Styled, render_stretch
from obs_stylizer.render.progress import Pace, Report
from obs_stylizer.render.thread_group import ThreadGroup

log = logging.getLogger(__name__)

FORM: Final = "yuv4mpegpipe"
"""FFmpeg's name of it."""

_REPORT_SECONDS: Final = 0.2
# How far two frames may lie from the even rate before it is told that the stream cannot say so.
_UNEVEN: Final = 0.5


class Yuv4MpegWriter:
    """Writes pictures in 4:2:0, eight bits.

    Args:
        stream: where to; is not closed.
        size: of the pictures; odd sides are allowed.
        rate: frames a second.
        colour: the tags; range alone can be said in the stream.
        aspect: of one pixel; None where it is square.
    """

    def __init__(
        self,
        stream: IO[bytes],
        size: FrameSize,
        rate: Fraction,
        colour: Colour,
        aspect: Fraction | None,
    ) -> None:
        self._stream = stream
        self._size = size
        self._to_video = ToVideo("yuv420p", colour.for_format("yuv420p"))
        full = colour.for_format("yuv420p").full_range
        pixel = aspect or Fraction(1)
        header = (
            f"YUV4MPEG2 W{size.width} H{size.height} F{rate.numerator}:{rate.denominator} Ip "
            f"A{pixel.numerator}:{pixel.denominator} C420mpeg2 XYSCSS=420MPEG2 "
            f"XCOLORRANGE={'FULL' if full else 'LIMITED'}\n"
        )
        self._write(header.encode())

    def write(self, item: Styled) -> None:
        """Write one picture.

        Raises:
            SinkEndedError: whoever reads the stream has left.
        """
        frame = self._to_video.unchanged(item.frame.decoded, self._size) if item.untouched else None
        if frame is None:
            frame = self._to_video(item.pixels)
        self._write(b"FRAME\n")
        for plane, shrink in zip(range(3), (1, 2, 2), strict=True):
            self._write(_plane(frame, plane, shrink, self._size))

    def _write(self, data: bytes) -> None:
        try:
            self._stream.write(data)
        except (BrokenPipeError, ValueError) as error:
            raise SinkEndedError("whoever read the stream has left", "see its messages") from error

    def flush(self) -> None:
        """Give everything out."""
        self._stream.flush()


def _plane(frame: VideoFrame, number: int, shrink: int, size: FrameSize) -> bytes:
    plane = frame.planes[number]
    width, height = -(-size.width // shrink), -(-size.height // shrink)
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[:height, :width].tobytes()


def render_to_stream(
    clip: Footage,
    stream: IO[bytes],
    style: Style,
    size: FrameSize | None,
    report: Report,
    stop: threading.Event,
) -> Result:
    """Render ``clip`` as YUV4MPEG2 into ``stream``, each picture as soon as it is ready.

    Raises:
        RenderStoppedError: ``stop`` was set.
        SinkEndedError: whoever reads the stream has left.
        StylizerError: something is wrong with the clip or the style.
    """
    began = time.perf_counter()
    info = clip.info
    out_size = size or info.size
    cue_presets = CuePresets(style, out_size)
    for name, text in cue_presets.described.items():
        log.info("preset %s: %s", name, text)
    writer = Yuv4MpegWriter(
        stream, out_size, info.rate, info.colour, info.aspect if size is None else None
    )
    done = 0
    warned = False

    def take(item: Styled | Boundary) -> None:
        nonlocal done, warned
        if isinstance(item, Boundary):
            return
        writer.write(item)
        drift = abs(item.frame.seconds - float(done / info.rate)) * float(info.rate)
        if drift > _UNEVEN and not warned:
            warned = True
            log.warning(
                "%s has no even rate, which YUV4MPEG2 cannot say: every frame is written, "
                "shown at %.5g a second",
                clip.name,
                float(info.rate),
            )
        done += 1

    group = ThreadGroup()
    pace = Pace(clip.frame_count())
    render_stretch(group, clip, Director(style.cues, cue_presets.load, out_size), Stretch(), take)
    try:
        while not group.wait(_REPORT_SECONDS):
            report(pace.at(time.perf_counter(), done))
            if stop.is_set():
                raise RenderStoppedError("stopped", "the stream ends where it was")
        writer.flush()
    finally:
        group.stop()
    cue_presets.close()
    return Result(None, done, done, time.perf_counter() - began)
