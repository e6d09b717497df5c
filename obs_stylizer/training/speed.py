"""How long a frame takes in each runtime and number format that this machine has."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from obs_stylizer.errors import ModelError, ProviderError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.benchmark import time_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions

logger = logging.getLogger(__name__)

RUNTIMES: Final = {Provider.CPU: "ONNX Runtime", Provider.OPENVINO: "OpenVINO"}
PRECISIONS: Final = (Precision.F32, Precision.BF16, Precision.INT8)


@dataclass(frozen=True)
class Speed:
    """Median time of a frame; ``milliseconds`` is None where it cannot run, and ``why`` says so."""

    runtime: str
    precision: str
    frame_size: str
    milliseconds: float | None
    why: str = ""

    def as_dict(self) -> dict[str, str | float]:
        """Return what ``evaluation.json`` holds."""
        told: dict[str, str | float] = {
            "runtime": self.runtime,
            "precision": self.precision,
            "frame_size": self.frame_size,
        }
        if self.milliseconds is None:
            return {**told, "not_run": self.why}
        return {
            **told,
            "ms": round(self.milliseconds, 2),
            "fps": round(1000 / self.milliseconds, 1),
        }


def measure_speed(model: Path, frame_size: FrameSize) -> list[Speed]:
    """Time the native generator at ``model`` on the processor, each way for about two seconds.

    int8 needs the variant that ``export`` writes beside it, bf16 a processor that computes in it.
    """
    found = []
    for provider, runtime in RUNTIMES.items():
        for precision in PRECISIONS:
            options = SessionOptions(
                provider, "CPU" if provider is Provider.OPENVINO else "", precision
            )
            try:
                timing = time_model(model, frame_size, options)
            except (ModelError, ProviderError) as problem:
                logger.debug("%s in %s: %s", runtime, precision, problem)
                found.append(Speed(runtime, str(precision), str(frame_size), None, problem.message))
                continue
            found.append(Speed(runtime, str(precision), timing.frame_size, timing.median_ms))
    return found
