"""The real-time generator: dense convolutions at a quarter and an eighth of the resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.layers import (
    ConvNorm,
    ResidualBlock,
    SmoothSubpixelConv,
)


class FastGenerator(nn.Module):
    """Picture to picture, in the fewest milliseconds that keep the eye content.

    Pixels are gathered by four into channels, convolved to ``channels`` maps, halved once more,
    sent through residual blocks, brought back by nearest-neighbour upsampling and convolution,
    and shuffled out by two, with a blur that leaves no grid. There is no reflection padding
    (providers split the graph at it) and no transposed convolution (it leaves a chequerboard).

    Args:
        channels: feature maps at a quarter of the resolution.
        blocks: residual blocks at an eighth.
        styles: length S of the style vector, 0 for none.
    """

    size_multiple = 8
    input_factor = 4
    output_factor = 2

    def __init__(self, channels: int, blocks: int, styles: int = 0) -> None:
        super().__init__()
        self.styles = styles
        deep, half = 2 * channels, max(4, channels // 2)
        self.stem = ConvNorm(3 * self.input_factor**2, channels, styles)
        self.down = ConvNorm(channels, deep, styles, stride=2)
        self.blocks = nn.ModuleList(ResidualBlock(deep, styles) for _ in range(blocks))
        self.up = ConvNorm(deep, channels, styles)
        self.wide = ConvNorm(channels, half, styles)
        self.last: nn.Module = SmoothSubpixelConv(half)

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn a picture.

        Args:
            frame: float (B, 3, H, W), 0 to 1; H and W multiples of 8.
            style: float (B, S), or None for a generator without styles.

        Returns:
            float (B, 3, H, W), 0 to 1.
        """
        gathered = F.pixel_unshuffle(frame, self.input_factor)
        return F.pixel_shuffle(self.body(gathered, style), self.output_factor)

    def body(self, gathered: Tensor, style: Tensor | None) -> Tensor:
        """Do all the arithmetic, from gathered to still unshuffled pixels.

        Args:
            gathered: float (B, 48, H/4, W/4), 0 to 1.
            style: float (B, S) or None.

        Returns:
            float (B, 12, H/2, W/2), 0 to 1.
        """
        features = self.down(self.stem(gathered, style), style)
        for block in self.blocks:
            features = block(features, style)
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        features = self.up(features, style)
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        features = self.wide(features, style)
        return torch.sigmoid(self.last(features))
