"""What every picture-to-picture generator offers."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.layers import ConvNorm

_FIRST_CORRECTION = 0.1


class PictureGenerator(ABC, nn.Module):
    """Turns pictures into pictures of the same size.

    Attributes:
        size_multiple: what height and width must be multiples of.
        styles: length S of the style vector, 0 for none.
        last: the layer whose output, after a sigmoid, is the picture.
    """

    last: nn.Module
    size_multiple: int
    styles: int

    @abstractmethod
    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn pictures.

        Args:
            frame: float (B, 3, H, W), 0 to 1; H and W multiples of ``size_multiple``.
            style: float (B, S), or None for a generator without styles.

        Returns:
            float (B, 3, H, W), 0 to 1.
        """

    @abstractmethod
    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return the features of the encoding half, (B, C, h, w) each, from fine to coarse.

        Contrastive losses compare them place by place. The first is the picture itself, or its
        pixels gathered into channels.
        """


class GatheringGenerator(PictureGenerator):
    """One that gathers squares of pixels into channels first, and spreads them out at the end.

    Between the two it is all convolutions; exported, pixels are gathered and spread as bytes.

    Attributes:
        stem: the first layer, which takes the gathered pixels.
        input_factor: side of the squares that are gathered.
        output_factor: side of those that are spread.
        joins_pixels: whether the frame's own pixels join in again on the way up.
    """

    stem: ConvNorm
    input_factor: int
    output_factor: int
    joins_pixels: bool = False

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn pictures; see :class:`PictureGenerator`."""
        gathered = F.pixel_unshuffle(frame, self.input_factor)
        pixels = F.pixel_unshuffle(frame, self.output_factor) if self.joins_pixels else None
        return F.pixel_shuffle(self.body(gathered, style, pixels), self.output_factor)

    @abstractmethod
    def body(self, gathered: Tensor, style: Tensor | None, pixels: Tensor | None) -> Tensor:
        """Do all the arithmetic, from gathered to not yet spread pixels.

        Args:
            gathered: float (B, 3 f², H/f, W/f), 0 to 1, with f the input factor.
            style: float (B, S) or None.
            pixels: float (B, 3 g², H/g, W/g), with g the output factor, where they join in.

        Returns:
            float (B, 3 g², H/g, W/g), 0 to 1.
        """


class Correction(PictureGenerator):
    """Adds what a generator makes to the frame, instead of putting it in the frame's place.

    What is right already need not pass through the network, which is what cleaning up wants.

    Args:
        inner: its pictures' distance from mid-grey, doubled, is what is added.
    """

    def __init__(self, inner: PictureGenerator) -> None:
        super().__init__()
        self.inner = inner
        # Beginning close to no correction: a large wrong one kills features before it is undone.
        for weights in inner.last.parameters():
            with torch.no_grad():
                weights.mul_(_FIRST_CORRECTION if weights.ndim > 1 else 0)
        self.size_multiple, self.styles = inner.size_multiple, inner.styles

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Correct pictures; see :class:`PictureGenerator`."""
        return self.corrected(frame, self.inner(frame, style))

    @staticmethod
    def corrected(pixels: Tensor, change: Tensor) -> Tensor:
        """Return pixels, 0 to 1, with a change whose zero is mid-grey; any two equal shapes."""
        return (pixels + (2 * change - 1)).clamp(0, 1)

    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return the inner generator's features."""
        return self.inner.encode(frame, style)
