"""U-Net: an encoder and a decoder with shortcuts at every resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.base import GatheringGenerator
from obs_stylizer.training.generators.layers import ConvNorm, JoinConvNorm


class UNetGenerator(GatheringGenerator):
    """Ronneberger et al. 2015, as pix2pix uses it, with upsampling that leaves no chequerboard.

    Every level halves the resolution with a 3x3 convolution of stride 2 and doubles the feature
    maps, up to eight times ``channels``. On the way back, nearest-neighbour upsampling and a
    convolution over the features joined with those of the encoder.

    Args:
        channels: feature maps at the finest resolution.
        depth: levels; height and width must be multiples of ``gather`` times two to this power.
        styles: length S of the style vector, 0 for none.
        normalise: whether instance norms are used.
        gather: side of the squares of pixels that are gathered into channels first, so that the
            finest features are at that much smaller a resolution; nothing is lost by it, and the
            work becomes its square less (FFDNet, Zhang et al. 2018).
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        styles: int = 0,
        normalise: bool = True,
        gather: int = 1,
    ) -> None:
        super().__init__()
        self.styles, self.size_multiple = styles, gather * 2**depth
        self.input_factor = self.output_factor = gather
        pixels = 3 * gather**2
        widths = [channels * min(2**level, 8) for level in range(depth + 1)]
        self.stem = ConvNorm(pixels, channels, styles, 1, normalise)
        self.down = nn.ModuleList(
            ConvNorm(widths[level], widths[level + 1], styles, 2, normalise)
            for level in range(depth)
        )
        self.up = nn.ModuleList(
            JoinConvNorm(widths[level + 1], widths[level], widths[level], styles, normalise)
            for level in reversed(range(depth))
        )
        self.last = nn.Conv2d(channels, pixels, 3, padding=1)

    def body(self, gathered: Tensor, style: Tensor | None, pixels: Tensor | None) -> Tensor:  # noqa: ARG002
        """From gathered pixels to as many; see the base class."""
        found = self._encode(gathered, style)[1:]
        features = found[-1]
        for layer, kept in zip(self.up, reversed(found[:-1]), strict=True):
            features = layer(features, kept, style)
        return torch.sigmoid(self.last(features))

    def encode(self, frame: Tensor, style: Tensor | None = None) -> list[Tensor]:
        """Return the (gathered) picture and the features of every level."""
        return self._encode(F.pixel_unshuffle(frame, self.input_factor), style)

    def _encode(self, gathered: Tensor, style: Tensor | None) -> list[Tensor]:
        found = [gathered, self.stem(gathered, style)]
        for layer in self.down:
            found.append(layer(found[-1], style))
        return found
