"""Residual encoder-decoder: the usual generator of style transfer and CycleGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from obs_stylizer.training.generators.base import PictureGenerator
from obs_stylizer.training.generators.layers import ConvNorm, ResidualBlock, UpConvNorm


class ResidualGenerator(PictureGenerator):
    """Johnson et al. 2016 and Zhu et al. 2017, with zero padding and upsampling convolutions.

    A convolution at full resolution, two of stride 2, residual blocks at a quarter, and two
    nearest-neighbour upsamplings with convolutions. Four times the work of the fast generator
    for the same width; a teacher rather than something to run live.

    Args:
        channels: feature maps at full resolution; four times that at a quarter.
        blocks: residual blocks.
        styles: length S of the style vector, 0 for none.
        normalise: whether instance norms are used.
    """

    size_multiple = 4

    def __init__(self, channels: int, blocks: int, styles: int = 0, normalise: bool = True) -> None:
        super().__init__()
        self.styles = styles
        self.stem = ConvNorm(3, channels, styles, 1, normalise)
        self.to_half = ConvNorm(channels, 2 * channels, styles, 2, normalise)
        self.to_quarter = ConvNorm(2 * channels, 4 * channels, styles, 2, normalise)
        self.blocks = nn.ModuleList(
            ResidualBlock(4 * channels, styles, normalise) for _ in range(blocks)
        )
        self.up = UpConvNorm(4 * channels, 2 * channels, styles, normalise)
        self.wide = UpConvNorm(2 * channels, channels, styles, normalise)
        self.last = nn.Conv2d(channels, 3, 5, padding=2)

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn pictures; see :class:`PictureGenerator`."""
        features = self.encode(frame, style)[-1]
        for layer in (self.up, self.wide):
            features = layer(features, style)
        return torch.sigmoid(self.last(features))

    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return the picture, the features at each resolution, and those after the blocks."""
        found = [frame, self.stem(frame, style)]
        for layer in (self.to_half, self.to_quarter):
            found.append(layer(found[-1], style))
        features = found[-1]
        for block in self.blocks:
            features = block(features, style)
        return [*found, features]
