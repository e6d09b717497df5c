"""The number format a training computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

PrecisionName = Literal["auto", "f32", "bf16", "f16"]


class Precision:
    """Automatic mixed precision (Micikevicius et al. 2018), or none.

    Args:
        name: ``auto`` takes bfloat16 where the hardware computes with it; elsewhere (a CPU
            without AVX-512 BF16 emulates it, forty times slower) float32.
        device: to compute on.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if name == "auto":
            name = "bf16" if _computes_bf16(device) else "f32"
        self.name = name
        self._device = device
        self._dtype = {"bf16": torch.bfloat16, "f16": torch.float16}.get(name)
        # Half precision has too few exponents for small gradients; bfloat16 has enough.
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "f16")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context that networks run in."""
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self._device.type, self._dtype)

    def backward(self, loss: Tensor) -> None:
        """Run ``loss`` backward, scaled where the format needs it."""
        scaled: Tensor = self._scaler.scale(loss)
        torch.autograd.backward(scaled)

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the gradients of ``optimizer`` back to their true size."""
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let ``optimizer`` step, unless a scaled gradient overflowed."""
        self._scaler.step(optimizer)

    def update(self) -> None:
        """Adapt the scale after all optimizers have stepped."""
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the scale."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        if state:
            self._scaler.load_state_dict(state)


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
