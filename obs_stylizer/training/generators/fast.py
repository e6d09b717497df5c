"""The real-time generator: dense convolutions at a quarter and an eighth of the resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.base import GatheringGenerator
from obs_stylizer.training.generators.layers import (
    ConvNorm,
    JoinConvNorm,
    LocalContrast,
    ResidualBlock,
    SmoothSubpixelConv,
    UpConvNorm,
    with_margin,
    without_margin,
)


class FastGenerator(GatheringGenerator):
    """Picture to picture, in the fewest milliseconds that keep the eye content.

    Pixels are gathered by four into channels, convolved to ``channels`` maps, halved once more,
    sent through residual blocks, brought back by nearest-neighbour upsampling and convolution,
    and shuffled out by two, with a blur that leaves no grid. There is no reflection padding
    (providers split the graph at it) and no freely learnt transposed convolution (it leaves a
    chequerboard).

    Args:
        channels: feature maps at a quarter of the resolution.
        blocks: residual blocks at an eighth.
        styles: length S of the style vector, 0 for none.
        normalise: whether instance norms are used.
        detail: whether features at a quarter and the frame's own pixels join in on the way up,
            and the last blur is left out: for looks that draw fine lines.
        contrast: gain of the local contrast that the first layer sees more of, as each style
            begins with it.
        margin: pixels that are put around a picture and cut off again, but not in training mode:
            the zeros beyond the border tell a style where it is, and it paints a frame. Losses
            have to see that frame, or it grows far into the picture. A multiple of 4.
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
        contrast: float = 0.0,
        margin: int = 0,
    ) -> None:
        super().__init__()
        self.styles = styles
        self.margin = margin
        self.joins_pixels = detail
        deep, half = 2 * channels, max(4, channels // 2)
        self.contrast = LocalContrast(contrast, self.input_factor, styles)
        self.stem = ConvNorm(3 * self.input_factor**2, channels, styles, 1, normalise)
        self.down = ConvNorm(channels, deep, styles, 2, normalise)
        self.blocks = nn.ModuleList(ResidualBlock(deep, styles, normalise) for _ in range(blocks))
        self.up: nn.Module = UpConvNorm(deep, channels, styles, normalise)
        pixels = 3 * self.output_factor**2 if detail else 0
        self.wide: nn.Module = (
            JoinConvNorm(channels, pixels, half, styles, normalise)
            if detail
            else UpConvNorm(channels, half, styles, normalise)
        )
        self.last: nn.Module = (
            nn.Conv2d(half, 3 * self.output_factor**2, 3, padding=1)
            if detail
            else SmoothSubpixelConv(half)
        )

    def body(self, gathered: Tensor, style: Tensor | None, pixels: Tensor | None) -> Tensor:
        """From pixels gathered by four to pixels gathered by two; see the base class."""
        margin = 0 if self.training else self.margin
        around = margin // self.output_factor
        if pixels is not None:
            pixels = with_margin(pixels, around)
        gathered = with_margin(gathered, margin // self.input_factor)
        _, quarter, _, features = self._encode(gathered, style)
        features = self.up(features, style)
        if pixels is None:
            features = self.wide(features, style)
        else:
            features = self.wide(features + quarter, pixels, style)
        return without_margin(torch.sigmoid(self.last(features)), around)

    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return gathered pixels, features at a quarter and an eighth, and after the blocks."""
        return self._encode(F.pixel_unshuffle(frame, self.input_factor), style)

    def _encode(self, gathered: Tensor, style: Tensor | None) -> list[Tensor]:
        quarter = self.stem(self.contrast(gathered, style), style)
        features = eighth = self.down(quarter, style)
        for block in self.blocks:
            features = block(features, style)
        return [gathered, quarter, eighth, features]
