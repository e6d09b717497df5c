"""The network that finds people in a frame, small enough to run beside a generator."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_QUARTER: Final = 32
_EIGHTH: Final = 64
_SIXTEENTH: Final = 96
_HALF: Final = 16
_MOMENTUM: Final = 0.02
"""Of the batch norms' running figures. They are copied into the moving average as they are, so
they must themselves be averages over many updates."""


class ConvNormReLU(nn.Sequential):
    """3x3 convolution, batch norm and ReLU.

    Batch norms are folded into the convolutions when the network is exported.

    Args:
        inputs: feature maps taken.
        outputs: feature maps given.
        stride: 1 or 2.
        dilation: spacing of the taps.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False),
            nn.BatchNorm2d(outputs, momentum=_MOMENTUM),
            nn.ReLU(inplace=True),
        )


class _Residual(nn.Module):
    """Adds what two convolutions make of features to them."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNormReLU(channels, channels)
        self.second = ConvNormReLU(channels, channels, dilation=dilation)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        added: Tensor = features + self.second(self.first(features))
        return added


class MaskNetwork(nn.Module):
    """Picture to a person's mask: a U-Net (Ronneberger et al. 2015) of few, dense convolutions.

    Pixels are gathered by four into channels; features go down to a sixteenth, where what is seen
    anywhere in the frame is added everywhere, and come back up to a half, where the frame's own
    pixels join in. 0.26 billion multiplications at 256x144.

    Attributes:
        size_multiple: what height and width must be multiples of.
    """

    size_multiple = 16

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNormReLU(48, _QUARTER)
        self.quarter = _Residual(_QUARTER)
        self.to_eighth = ConvNormReLU(_QUARTER, _EIGHTH, 2)
        self.eighth = _Residual(_EIGHTH)
        self.to_sixteenth = ConvNormReLU(_EIGHTH, _SIXTEENTH, 2)
        self.sixteenth = _Residual(_SIXTEENTH, dilation=2)
        self.everywhere = nn.Conv2d(_SIXTEENTH, _SIXTEENTH, 1)
        self.deepest = ConvNormReLU(_SIXTEENTH, _SIXTEENTH)
        self.narrow_eighth: nn.Module = nn.Conv2d(_SIXTEENTH, _EIGHTH, 1)
        self.up_eighth = ConvNormReLU(_EIGHTH, _EIGHTH)
        self.narrow_quarter: nn.Module = nn.Conv2d(_EIGHTH, _QUARTER, 1)
        self.up_quarter = ConvNormReLU(_QUARTER, _QUARTER)
        self.narrow_half: nn.Module = nn.Conv2d(_QUARTER, _HALF, 1)
        self.up_half = ConvNormReLU(_HALF + 12, _HALF)
        self.last = nn.Conv2d(_HALF, 4, 3, padding=1)

    def forward(self, frame: Tensor) -> Tensor:
        """Find people.

        Args:
            frame: float (B, 3, H, W), 0 to 1; H and W multiples of ``size_multiple``.

        Returns:
            float (B, 1, H, W): logits; above 0 is more likely a person than not.
        """
        return F.pixel_shuffle(
            self.body(F.pixel_unshuffle(frame, 4), F.pixel_unshuffle(frame, 2)), 2
        )

    def body(self, by_four: Tensor, by_two: Tensor) -> Tensor:
        """Do all the arithmetic, from gathered pixels to logits not yet spread.

        Args:
            by_four: float (B, 48, H/4, W/4), 0 to 1.
            by_two: float (B, 12, H/2, W/2), 0 to 1.

        Returns:
            float (B, 4, H/2, W/2).
        """
        quarter = self.quarter(self.stem(by_four))
        eighth = self.eighth(self.to_eighth(quarter))
        deep = self.sixteenth(self.to_sixteenth(eighth))
        deep = self.deepest(deep + self.everywhere(F.adaptive_avg_pool2d(deep, 1)))
        features = self.up_eighth(_enlarged(self.narrow_eighth, deep) + eighth)
        features = self.up_quarter(_enlarged(self.narrow_quarter, features) + quarter)
        features = torch.cat([_enlarged(self.narrow_half, features), by_two], 1)
        logits: Tensor = self.last(self.up_half(features))
        return logits


def _enlarged(narrow: nn.Module, features: Tensor) -> Tensor:
    """Return what a 1x1 convolution makes of features, each place four times."""
    made: Tensor = narrow(features)
    if isinstance(narrow, nn.ConvTranspose2d):
        return made
    return F.interpolate(made, scale_factor=2.0, mode="nearest")


def enlarging(narrow: nn.Module) -> nn.ConvTranspose2d:
    """Return one layer that does what a 1x1 convolution and enlarging by two do."""
    assert isinstance(narrow, nn.Conv2d)
    made = nn.ConvTranspose2d(narrow.in_channels, narrow.out_channels, 2, 2)
    weight = narrow.weight.detach().transpose(0, 1)
    made.weight = nn.Parameter(weight.repeat(1, 1, 2, 2), requires_grad=False)
    assert narrow.bias is not None
    made.bias = nn.Parameter(narrow.bias.detach().clone(), requires_grad=False)
    return made
