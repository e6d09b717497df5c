"""The clip that benchmarks read: the test pattern, encoded as cameras and editors do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from obs_stylizer.clock import ManualClock
from obs_stylizer.frames import FrameSize
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceKind, SourceSpec


def write_clip(path: Path, size: FrameSize, fps: int, seconds: float) -> None:
    """Write the test pattern as H.264 (yuv420p, 8 Mbit/s) to ``path``."""
    options = SourceOptions(frame_size=size, fps=fps, paced=False, clock=ManualClock())
    with (
        make_source(SourceSpec(SourceKind.PATTERN), options) as source,
        av.open(str(path), "w") as container,
    ):
        source.open()
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.bit_rate = 8_000_000
        stream.options = {"preset": "veryfast"}
        for number in range(round(fps * seconds)):
            frame = source.read(1.0)
            if frame is None:
                continue
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
