"""How quick a generator is on this machine, told in a few seconds."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.probing import probe_picture
from obs_stylizer.inference.session import RunsOn, SessionOptions

_MAX_RUNS: Final = 20
_MIN_RUNS: Final = 3
_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Median time of one frame, and what ran it."""

    frame_size: str
    runs_on: RunsOn
    median_ms: float
    open_ms: float
    runs: int


def time_model(path: Path, frame_size: FrameSize, options: SessionOptions) -> Timing:
    """Open a native model, warm it up and time it for about two seconds.

    Args:
        path: the native model.
        frame_size: about the size to run at; the nearest that the model takes is used.
        options: what to run it on.

    Raises:
        ModelError: it is no native model, or gives one flat colour.
        ProviderError: it cannot run on what is asked for.
    """
    started = time.perf_counter()
    model = load_native_model(path)
    size = model.nearest_size(frame_size)
    with open_generator(model, size, options) as generator:
        generator.warm_up()
        opened = time.perf_counter() - started
        frame = probe_picture(size)
        times: list[float] = []
        until = time.perf_counter() + _SECONDS
        while len(times) < _MIN_RUNS or (len(times) < _MAX_RUNS and time.perf_counter() < until):
            begun = time.perf_counter()
            generator.run(frame)
            times.append((time.perf_counter() - begun) * 1000)
        return Timing(
            str(size), generator.runs_on, statistics.median(times), opened * 1000, len(times)
        )
