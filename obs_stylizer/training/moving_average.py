"""A moving average of a network's weights, which makes steadier pictures than the weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


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
