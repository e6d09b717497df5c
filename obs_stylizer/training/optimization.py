"""How weights are moved: learning rates, number format, and the moving average of the weights."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from obs_stylizer.training.recipe import ScheduleRecipe


def progress_of(schedule: ScheduleRecipe, step: int, elapsed: float) -> float:
    """Return the share of the training that is done, 0 to 1.

    Args:
        schedule: of the recipe.
        step: updates done.
        elapsed: seconds trained, over all sittings.
    """
    done = step / schedule.steps
    if schedule.minutes is not None:
        done = max(done, elapsed / (60 * schedule.minutes))
    return min(done, 1.0)


def rate_factor(schedule: ScheduleRecipe, step: int, progress: float) -> float:
    """Return what the learning rates are multiplied with in the update after ``step``."""
    factor = 1.0
    if schedule.decay == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * progress))
    elif schedule.decay == "linear":
        # Constant for the first half, as CycleGAN and pix2pix do.
        factor = min(1.0, 2 * (1 - progress))
    if schedule.warm_up:
        factor *= min(1.0, (step + 1) / schedule.warm_up)
    return factor


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
        """Bring the gradients of ``optimizer`` back to their true size.

        What overflowed is noticed here: gradients that processes share have to be averaged
        before, so that all of them notice it and go on with the same scale.
        """
        self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let ``optimizer`` step, unless a scaled gradient overflowed, and adapt the scale.

        The scale is adapted after each step of each optimizer, since one may step several times in
        an update, or alone.
        """
        self._scaler.step(optimizer)
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


class MovingAverage:
    """Follows ``source``.

    Args:
        source: the trained network.
        keep: share of itself that the average keeps at each update; less in the first ones, so
            that the random start is forgotten.
    """

    def __init__(self, source: nn.ModuleDict, keep: float) -> None:
        self.network = copy.deepcopy(source).requires_grad_(False).eval()
        self.keep = keep

    @torch.no_grad()
    def update(self, source: nn.Module, step: int) -> None:
        """Move towards ``source`` after ``step`` updates (from 1)."""
        keep = min(self.keep, step / (step + 9.0))
        averages: list[Tensor] = list(self.network.parameters())
        torch._foreach_lerp_(averages, list(source.parameters()), 1.0 - keep)
        for kept, new in zip(self.network.buffers(), source.buffers(), strict=True):
            kept.copy_(new)
