"""What trained layers become in an exported file: the same numbers for less work."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.training.generators.layers import JoinConvNorm, UpConvNorm


class TransposedConvNorm(nn.Module):
    """What a trained :class:`UpConvNorm` computes, in four ninths of the products.

    After upsampling, several taps of a 3x3 kernel always fall on the same pixel. Added up, they
    are a transposed convolution of 4x4 taps and stride 2. As its taps cannot be learnt apart, it
    has no chequerboard either.

    Args:
        trained: it is left as it is.
    """

    def __init__(self, trained: UpConvNorm) -> None:
        super().__init__()
        self.convolution = _doubling(trained.convolution.weight)
        self.norm = trained.norm

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2H, 2W)."""
        return F.relu(self.norm(self.convolution(features), style))


class SplitConvNorm(nn.Module):
    """What a trained :class:`JoinConvNorm` computes, as :class:`TransposedConvNorm` does.

    A convolution of joined features is the sum of one of each, so nothing need be joined.

    Args:
        trained: it is left as it is.
    """

    def __init__(self, trained: JoinConvNorm) -> None:
        super().__init__()
        weight, skipped = trained.convolution.weight, trained.skipped
        inputs = weight.shape[1] - skipped
        self.doubling = _doubling(weight[:, :inputs])
        self.convolution = nn.Conv2d(skipped, len(weight), 3, padding=1, bias=False)
        with torch.no_grad():
            self.convolution.weight.copy_(weight[:, inputs:])
        self.norm = trained.norm

    def forward(self, features: Tensor, skipped: Tensor, style: Tensor | None) -> Tensor:
        """(B, inputs, H, W) and (B, skipped, 2H, 2W) to (B, outputs, 2H, 2W)."""
        return F.relu(self.norm(self.doubling(features) + self.convolution(skipped), style))


def _doubling(weight: Tensor) -> nn.ConvTranspose2d:
    """Return a 3x3 convolution's weights (O, C, 3, 3) as one that doubles the size as well."""
    taps = doubled(doubled(weight.detach(), 2), 3).transpose(0, 1)
    inputs, outputs = taps.shape[:2]
    made = nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, bias=False)
    with torch.no_grad():
        made.weight.copy_(taps)
    return made


def doubled(kernel: Tensor, axis: int) -> Tensor:
    """Return the three taps along ``axis`` as the four that double the size as well.

    Every pixel adds to the four nearest of twice the size, the taps in reverse. Two of these see
    it twice through the kernel of three: itself and its repetition.
    """
    flipped = kernel.flip(axis)
    nothing = torch.zeros_like(flipped.narrow(axis, 0, 1))
    return torch.cat([flipped, nothing], axis) + torch.cat([nothing, flipped], axis)
