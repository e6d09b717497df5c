"""Small video files, made for a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def numbered_pictures(count: int, width: int = 64, height: int = 48) -> list[Picture]:
    """Pictures whose grey says their number: 8 × number, up to 31."""
    return [np.full((height, width, 3), 8 * number, np.uint8) for number in range(count)]


def number_of(picture: Picture) -> int:
    """The number of such a picture, also after it was encoded."""
    return round(float(picture.mean()) / 8)


def write_video(
    path: Path,
    pictures: Sequence[Picture],
    fps: float = 10,
    *,
    times: Iterable[float] | None = None,
    codec: str = "libx264",
) -> Path:
    """Encode ``pictures``; ``times`` in seconds make the rate variable.

    A keyframe starts every fourth picture, so that a file cut off in the middle has some.
    """
    rate = Fraction(fps).limit_denominator(1001)
    stamps = [number / rate for number in range(len(pictures))] if times is None else list(times)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2] if len(pictures) else (48, 64)
        stream.pix_fmt = "yuv420p" if codec == "libx264" else stream.pix_fmt
        stream.codec_context.gop_size = 4
        stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "10", "tune": "zerolatency"}
        for picture, stamp in zip(pictures, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(float(stamp) * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file with a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        silence = np.zeros((1, 1024), np.float32)
        for number in range(47):
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate = 48000
            frame.pts = number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_video(path: Path) -> tuple[list[Picture], list[float]]:
    """Decode all pictures of a file, uint8 RGB, and their times in seconds."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pictures.append(frame.to_ndarray(format="rgb24"))
            times.append(float(frame.time))
    return pictures, times
