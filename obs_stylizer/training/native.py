"""Generators in the native contract's clothes: bytes in, bytes out, nothing left to the host."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from obs_stylizer.training.generators import FastGenerator, PictureGenerator
from obs_stylizer.training.generators.layers import SmoothSubpixelConv


class NativeGenerator(nn.Module):
    """Takes and gives frames as uint8 (1, H, W, 3), RGB.

    For the fast generator pixels are gathered and shuffled while they are still bytes, in one
    transposition each way, which moves a quarter of what floats would.

    Args:
        generator: a picture-to-picture generator; it is copied, and its weights fixed.
    """

    def __init__(self, generator: PictureGenerator) -> None:
        super().__init__()
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        for module in list(self.generator.modules()):
            if isinstance(module, FastGenerator) and isinstance(module.last, SmoothSubpixelConv):
                module.last = module.last.as_convolution()
        self.size_multiple = generator.size_multiple
        self.styles = generator.styles

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn a frame.

        Args:
            frame: uint8 (1, H, W, 3), sides multiples of ``size_multiple``.
            style: float32 (1, S), or None for a generator without styles.

        Returns:
            uint8, the shape of ``frame``.
        """
        if not isinstance(self.generator, FastGenerator):
            made: Tensor = self.generator(frame.permute(0, 3, 1, 2).float() / 255.0, style)
            return (made * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)
        _, height, width, _ = frame.shape
        near, far = self.generator.input_factor, self.generator.output_factor
        gathered = frame.reshape(1, height // near, near, width // near, near, 3)
        gathered = gathered.permute(0, 5, 2, 4, 1, 3)
        gathered = gathered.reshape(1, 3 * near * near, height // near, width // near)
        made = self.generator.body(gathered.float() / 255.0, style)
        # A sigmoid keeps this under 255.5, so the cast to bytes, which cuts, also rounds.
        scattered = (made * 255.0 + 0.5).to(torch.uint8)
        scattered = scattered.reshape(1, 3, far, far, height // far, width // far)
        return scattered.permute(0, 4, 2, 5, 3, 1).reshape(1, height, width, 3)
