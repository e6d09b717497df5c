"""The real-time generator: dense convolutions at a quarter and an eighth of the resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.base import PictureGenerator
from obs_stylizer.training.generators.layers import (
    ConvNorm,
    ResidualBlock,
    SmoothSubpixelConv,
)


class FastGenerator(PictureGenerator):
    """Picture to picture, in the fewest milliseconds that keep the eye content.

    Pixels are gathered by four into channels, convolved to ``channels`` maps, halved once more,
    sent through residual blocks, brought back by nearest-neighbour upsampling and convolution,
    and shuffled out by two, with a blur that leaves no grid. There is no reflection padding
    (providers split the graph at it) and no transposed convolution (it leaves a chequerboard).

    Args:
        channels: feature maps at a quarter of the resolution.
        blocks: residual blocks at an eighth.
        styles: length S of the style vector, 0 for none.
        normalise: whether instance norms are used.
        detail: whether features at a quarter and the frame's own pixels join in on the way up,
            and the last blur is left out: for looks that draw fine lines.
    """

    size_multiple = 8
    input_factor = 4
    output_factor = 2

    def __init__(
        self,
        channels: int,
        blocks: int,
        styles: int = 0,
        normalise: bool = True,
        detail: bool = False,
    ) -> None:
        super().__init__()
        self.styles = styles
        self.detail = detail
        deep, half = 2 * channels, max(4, channels // 2)
        self.stem = ConvNorm(3 * self.input_factor**2, channels, styles, 1, normalise)
        self.down = ConvNorm(channels, deep, styles, 2, normalise)
        self.blocks = nn.ModuleList(ResidualBlock(deep, styles, normalise) for _ in range(blocks))
        self.up = ConvNorm(deep, channels, styles, 1, normalise)
        pixels = 3 * self.output_factor**2 if detail else 0
        self.wide = ConvNorm(channels + pixels, half, styles, 1, normalise)
        self.last: nn.Module = (
            nn.Conv2d(half, 3 * self.output_factor**2, 3, padding=1)
            if detail
            else SmoothSubpixelConv(half)
        )

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
        _, quarter, _, features = self._encode(gathered, style)
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        features = self.up(features, style)
        if self.detail:
            features = features + quarter
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        if self.detail:
            features = torch.cat([features, _gathered_by_two(gathered)], 1)
        features = self.wide(features, style)
        return torch.sigmoid(self.last(features))

    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return gathered pixels, features at a quarter and an eighth, and after the blocks."""
        return self._encode(F.pixel_unshuffle(frame, self.input_factor), style)

    def _encode(self, gathered: Tensor, style: Tensor | None) -> list[Tensor]:
        quarter = self.stem(gathered, style)
        features = eighth = self.down(quarter, style)
        for block in self.blocks:
            features = block(features, style)
        return [gathered, quarter, eighth, features]


def _gathered_by_two(gathered: Tensor) -> Tensor:
    """Spread pixels gathered by four, (B, 48, h, w), to gathered by two, (B, 12, 2h, 2w)."""
    batch, _, height, width = gathered.shape
    split = gathered.reshape(batch, 3, 2, 2, 2, 2, height, width)
    spread = split.permute(0, 1, 3, 5, 6, 2, 7, 4)
    return spread.reshape(batch, 12, 2 * height, 2 * width)
