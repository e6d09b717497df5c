"""The one interface behind which ONNX Runtime and OpenVINO run a generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels


class Provider(StrEnum):
    """What ``--provider`` takes. ``cpu`` is ONNX Runtime's own CPU provider."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    DML = "dml"
    TENSORRT = "tensorrt"
    COREML = "coreml"
    OPENVINO = "openvino"
    WEBGPU = "webgpu"


class Precision(StrEnum):
    """Number format a session computes in. ``auto`` is the fastest that keeps the picture."""

    AUTO = "auto"
    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session is to be made.

    Attributes:
        provider: execution provider; ``auto`` lets a timed probe choose.
        device: adapter name (or part of it) or index as ``devices`` lists them; "" for the first.
        precision: number format; one the provider cannot run is refused, not replaced.
        threads: CPU threads; 0 for as many as the machine has cores.
        spin: idle threads wait busily: quicker by little, at the cost of a game's cores.
    """

    provider: Provider = Provider.AUTO
    device: str = ""
    precision: Precision = Precision.AUTO
    threads: int = 0
    spin: bool = False


@dataclass(frozen=True, slots=True)
class RunsOn:
    """What a session really runs on, asked of the made session and never of a list of hopes."""

    provider: Provider
    device: str
    precision: Precision
    reason: str = ""

    @property
    def on_cpu(self) -> bool:
        """Whether that is a CPU; OpenVINO drives both."""
        if self.provider is Provider.OPENVINO:
            return "GPU" not in self.device and "NPU" not in self.device
        return self.provider is Provider.CPU

    def __str__(self) -> str:
        return f"{self.provider} on {self.device} in {self.precision}"


class Session(ABC):
    """A generator compiled for one frame size on one device.

    Not safe for two threads at once. ``runs_on`` and ``frame_size`` are fixed at creation.
    """

    runs_on: RunsOn
    frame_size: FrameSize

    @abstractmethod
    def run(
        self,
        frame: Pixels,
        style: NDArray[np.float32] | None = None,
        strength: float | None = None,
    ) -> Pixels:
        """Stylize one frame.

        Args:
            frame: uint8 (height, width, 3) of exactly ``frame_size``.
            style: float32, what the model's ``rows`` (R,) or ``style`` (S,) input takes; required
                if it has one, else ignored.
            strength: 0 to 1, used if the model has a ``strength`` input, else ignored.

        Returns:
            uint8 (height, width, 3), of a network that finds people (height, width, 1). The array
            may be overwritten by the next call.

        Raises:
            DeviceLostError: the device went away; the process must be replaced.
            ProviderError: the run failed otherwise.
        """

    def cancel(self) -> None:
        """End the run under way before its time, where that is possible. Any thread.

        A run that was ended raises a ProviderError; one that cannot be ended goes on and gives
        its picture. Nothing is done where none is under way.
        """
        return

    @abstractmethod
    def close(self) -> None:
        """Give the device's memory back. May be called twice."""
