"""Layers that several generators are built from."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Large enough that the noise of a flat, dark picture is not blown up to full contrast.
NORM_EPSILON = 1e-3


_CONTRAST_WINDOW: Final = 9


class LocalContrast(nn.Module):
    """Moves gathered pixels away from the mean of what is around them (unsharp masking).

    Strokes follow what contrast there is. A pale sky or an evenly lit wall has little, and an
    instance norm, which scales whole maps, gives it no more. Around a pixel is a Gaussian of some
    15 pixels, two box blurs of 36 pixels each way, sloping from square to square of the gathered
    pixels. Done without convolutions, so that 8-bit variants leave it in float.

    How much farther each pixel is moved is a number of every style, learnt with its norms: flat
    shapes want less of it than strokes.

    Args:
        gain: that it begins with; 0 leaves the pixels as they are and learns nothing.
        factor: side f of the squares that were gathered.
        styles: length S of the style vector, 0 for one gain without it.
    """

    def __init__(self, gain: float, factor: int, styles: int = 0) -> None:
        super().__init__()
        self.styles = styles
        self.gain = nn.Parameter(torch.full((max(styles, 1), 1), gain)) if gain else None
        places = factor * factor
        colours = torch.eye(3).repeat_interleave(places, 0)
        offset = (torch.arange(factor) - (factor - 1) / 2) / factor
        down, across = (plane.flatten() for plane in torch.meshgrid(offset, offset, indexing="ij"))
        self.averaging: torch.Tensor
        self.spreading: torch.Tensor
        self.register_buffer("averaging", colours.T / places, persistent=False)
        # Half, because a slope is the difference of two squares that are two apart.
        slopes = (colours * plane.repeat(3)[:, None] / 2 for plane in (down, across))
        self.register_buffer("spreading", torch.cat([colours, *slopes], 1), persistent=False)

    def forward(self, gathered: Tensor, style: Tensor | None) -> Tensor:
        """(B, 3 f², h, w), 0 to 1, and (B, S), weights of the styles, to the shape of the first."""
        if self.gain is None:
            return gathered
        gain = self.gain[:1] if style is None or not self.styles else style @ self.gain
        height, width = gathered.shape[-2:]
        flat = gathered.flatten(2)
        around = (self.averaging.to(flat) @ flat).reshape(-1, 3, height, width)
        side = _CONTRAST_WINDOW
        for kernel in ((side, 1), (1, side)) * 2:
            padding = (kernel[0] // 2, kernel[1] // 2)
            around = F.avg_pool2d(around, kernel, 1, padding, count_include_pad=False)
        terms = torch.cat([around, _slope(around, 2), _slope(around, 3)], 1).flatten(2)
        gain = gain[:, :, None].to(flat)
        moved = (1 + gain) * flat - self.spreading.to(flat) @ (gain * terms)
        return moved.clamp(0, 1).reshape(gathered.shape)

    def reorder(self, order: list[int]) -> None:
        """Take channels in another order than torch gathers them in."""
        self.averaging = self.averaging[:, order]
        self.spreading = self.spreading[order]


def _slope(maps: Tensor, axis: int) -> Tensor:
    """Return the difference of both neighbours along ``axis``, of one and itself at the ends."""
    size = maps.shape[axis]
    first, last = maps.narrow(axis, 0, 1), maps.narrow(axis, size - 1, 1)
    after = torch.cat([maps.narrow(axis, 1, size - 1), last], axis)
    before = torch.cat([first, maps.narrow(axis, 0, size - 1)], axis)
    return after - before


def with_margin(maps: Tensor, places: int) -> Tensor:
    """Return maps (B, C, H, W) with their outermost places repeated so many times on every side.

    Not by padding: providers split a graph at any but zeros.
    """
    if not places:
        return maps
    for axis in (-2, -1):
        first, last = maps.narrow(axis, 0, 1), maps.narrow(axis, maps.shape[axis] - 1, 1)
        maps = torch.cat([*[first] * places, maps, *[last] * places], axis)
    return maps


def without_margin(maps: Tensor, places: int) -> Tensor:
    """Undo :func:`with_margin`."""
    return maps[..., places:-places, places:-places] if places else maps


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation whose scale and shift are mixed by a style vector.

    Dumoulin et al. 2017, "A Learned Representation for Artistic Style".

    Args:
        channels: feature maps, C.
        styles: length S of the style vector; 0 is plain instance normalisation with one
            learned scale and shift.
        normalise: False leaves the features' own size alone and only scales and shifts them,
            for objectives that must know how bright a picture is.
    """

    def __init__(self, channels: int, styles: int, normalise: bool = True) -> None:
        super().__init__()
        self.styles = styles
        self.normalise = normalise
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
        if torch.compiler.is_exporting() and self.normalise:
            # One ONNX operator; an exported generator sees one picture at a time.
            return F.instance_norm(features, weight=weight[0], bias=bias[0], eps=NORM_EPSILON)
        # A group for each channel is the same thing, and many times faster on a CPU. Its gradient
        # is twenty times slower there where channels lie beside each other.
        normal = features
        if self.normalise:
            normal = F.group_norm(features.contiguous(), features.shape[1], eps=NORM_EPSILON)
        return torch.addcmul(
            bias[:, :, None, None].to(normal), normal, weight[:, :, None, None].to(normal)
        )


class ConvNorm(nn.Module):
    """3x3 convolution, conditional instance norm and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, styles: int, stride: int = 1, normalise: bool = True
    ) -> None:
        super().__init__()
        # The norm's shift takes the place of a bias.
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm = ConditionalInstanceNorm(outputs, styles, normalise)
        if not normalise:
            keep_size(self.convolution)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/stride, W/stride)."""
        return F.relu(self.norm(self.convolution(features), style))


class UpConvNorm(ConvNorm):
    """Nearest-neighbour upsampling by two, 3x3 convolution, conditional norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, styles: int, normalise: bool = True) -> None:
        super().__init__(inputs, outputs, styles, 1, normalise)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, 2H, 2W)."""
        return super().forward(F.interpolate(features, scale_factor=2.0, mode="nearest"), style)


class JoinConvNorm(ConvNorm):
    """:class:`UpConvNorm` of features at half the size joined with others at the full one."""

    def __init__(
        self, inputs: int, skipped: int, outputs: int, styles: int, normalise: bool = True
    ) -> None:
        super().__init__(inputs + skipped, outputs, styles, 1, normalise)
        self.skipped = skipped

    def forward(self, features: Tensor, skipped: Tensor, style: Tensor | None) -> Tensor:  # type: ignore[override]
        """(B, inputs, H, W) and (B, skipped, 2H, 2W) to (B, outputs, 2H, 2W)."""
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return super().forward(torch.cat([features, skipped], 1), style)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with conditional norms around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, styles: int, normalise: bool = True) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels, styles, 1, normalise)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = ConditionalInstanceNorm(channels, styles, normalise)
        if not normalise:
            keep_size(self.second)
        # Starting as the identity lets depth cost nothing at the beginning.
        nn.init.constant_(self.norm.weight, 0.1)

    def forward(self, features: Tensor, style: Tensor | None) -> Tensor:
        """(B, C, H, W) to the same shape."""
        change: Tensor = self.norm(self.second(self.first(features, style)), style)
        return features + change


def keep_size(convolution: nn.Conv2d) -> None:
    """Draw weights anew so that features before a ReLU keep their size (He et al. 2015).

    Without norms torch's own start makes them smaller with every layer, until nothing is learnt.
    """
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")


class SmoothSubpixelConv(nn.Module):
    """3x3 convolution to four sub-pixels a colour, shuffled out by two and blurred 2x2.

    A plain sub-pixel convolution may give the four sub-pixels of a flat area different values,
    and losses that ask for texture teach it to: a grid over skin and sky. The blur takes away
    exactly the frequencies of that grid (Sugawara et al. 2018). All of it is linear, so it is
    done as one 4x4 convolution before the shuffle, which costs next to nothing.

    Args:
        inputs: feature maps, C.
        colours: channels of the picture.
    """

    def __init__(self, inputs: int, colours: int = 3) -> None:
        super().__init__()
        self.colours = colours
        plain = nn.Conv2d(inputs, 4 * colours, 3)
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 4 * colours, h, w), to be shuffled out by two."""
        weight, bias = self.folded()
        return F.conv2d(F.pad(features, (1, 2, 1, 2)), weight, bias)

    def as_convolution(self) -> nn.Conv2d:
        """Return the same as a plain convolution of fixed weights, 5x5 with an empty rim.

        The rim (first row and column) makes the padding even, which torch asks for.
        """
        with torch.no_grad():
            weight, bias = self.folded()
            plain = nn.Conv2d(weight.shape[1], weight.shape[0], 5, padding=2)
            plain.weight.copy_(F.pad(weight, (1, 0, 1, 0)))
            assert plain.bias is not None
            plain.bias.copy_(bias)
        return plain.requires_grad_(False)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return convolution and blur as one: (4 * colours, C, 4, 4), and a bias."""
        inputs = self.weight.shape[1]
        kernel = self.weight.view(self.colours, 2, 2, inputs, 3, 3)
        # Downwards: the upper sub-pixel meets the lower one of its own pixel, the lower one the
        # upper one of the pixel below, whose taps lie one further down. Then the same across.
        upper, lower = F.pad(kernel, (0, 0, 0, 1)).unbind(1)
        below = F.pad(kernel, (0, 0, 1, 0))[:, 0]
        rows = torch.stack([upper + lower, lower + below], 1) / 2
        left, right = F.pad(rows, (0, 1)).unbind(2)
        beyond = F.pad(rows, (1, 0))[:, :, 0]
        folded = torch.stack([left + right, right + beyond], 2) / 2
        assert self.bias is not None
        bias = self.bias.view(self.colours, 4).mean(1).repeat_interleave(4)
        return folded.reshape(4 * self.colours, inputs, 4, 4), bias
