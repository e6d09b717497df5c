"""Layers that several generators are built from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Large enough that the noise of a flat, dark picture is not blown up to full contrast.
NORM_EPSILON = 1e-3


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation whose scale and shift are mixed by a style vector.

    Dumoulin et al. 2017, "A Learned Representation for Artistic Style".

    Args:
        channels: feature maps, C.
        styles: length S of the style vector; 0 is plain instance normalisation with one
            learned scale and shift.
    """

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.styles = styles
        self.weight = nn.Parameter(torch.ones(max(styles, 1), channels))
        self.bias = nn.Parameter(torch.zeros(max(styles, 1), channels))

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """Normalise.

        Args:
            features: (B, C, H, W).
            style: (B, S), weights of the styles; None where there are none.

        Returns:
            (B, C, H, W).
        """
        if style is None or not self.styles:
            weight, bias = self.weight[:1], self.bias[:1]
        else:
            weight, bias = style @ self.weight, style @ self.bias
        if torch.compiler.is_exporting():
            # One ONNX operator; an exported generator sees one picture at a time.
            return F.instance_norm(features, weight=weight[0], bias=bias[0], eps=NORM_EPSILON)
        # A group for each channel is the same thing, and many times faster on a CPU.
        normal = F.group_norm(features, features.shape[1], eps=NORM_EPSILON)
        return torch.addcmul(
            bias[:, :, None, None].to(normal), normal, weight[:, :, None, None].to(normal)
        )


class ConvNorm(nn.Module):
    """3x3 convolution, conditional instance norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, styles: int, stride: int = 1) -> None:
        super().__init__()
        # The norm's shift takes the place of a bias.
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = ConditionalInstanceNorm(outputs, styles)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        return F.relu(self.norm(self.convolution(features), style))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with conditional norms around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, styles)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = ConditionalInstanceNorm(channels, styles)
        # Starting as the identity lets depth cost nothing at the beginning.
        nn.init.constant_(self.norm.weight, 0.1)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, C, H, W) to the same shape."""
        change: Tensor = self.norm(self.second(self.first(features, style)), style)
        return features + change


def initialise_subpixel(convolution: nn.Conv2d, factor: int) -> None:
    """Give the sub-pixels of one pixel the same weights, so no chequerboard stands at the start.

    Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution".

    Args:
        convolution: feeds ``PixelShuffle(factor)``.
        factor: of the shuffle.
    """
    with torch.no_grad():
        shared = convolution.weight[:: factor * factor].clone()
        convolution.weight.copy_(shared.repeat_interleave(factor * factor, 0))
        if convolution.bias is not None:
            convolution.bias.zero_()
