"""Generators in the native contract's clothes: bytes in, bytes out, nothing left to the host."""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor, nn

from obs_stylizer.training.generators import (
    Correction,
    FastGenerator,
    GatheringGenerator,
    PictureGenerator,
    UNetGenerator,
)
from obs_stylizer.training.generators.layers import (
    JoinConvNorm,
    SmoothSubpixelConv,
    UpConvNorm,
    with_margin,
    without_margin,
)
from obs_stylizer.training.reparameterization import SplitConvNorm, TransposedConvNorm

_BORDER: Final = 2
"""Gathered pixels, each of two by two, at the border of a painting without a margin, in whose
place those beside them are repeated: zeros beyond the border tell a style where it is, and the
losses, which see them too, hardly mind that the outermost pixels come out in another colour."""


class FrameNetwork(nn.Module):
    """What is exported: uint8 (1, H, W, 3), RGB, to a picture or a mask of the same size."""

    size_multiple: int
    """Sides of a frame are multiples of it."""
    styles: int
    """Length of the second input, the style vector; 0 without one."""


class NativeGenerator(FrameNetwork):
    """Takes and gives frames as uint8 (1, H, W, 3), RGB.

    Where a generator gathers pixels, that is done while they are still bytes, in the order in
    which they lie in memory: two moves of a single axis each way. One transposition of all the
    axes at once took ONNX Runtime a tenth of the whole time.

    Args:
        generator: a picture-to-picture generator; it is copied, and its weights fixed.
    """

    def __init__(self, generator: PictureGenerator) -> None:
        super().__init__()
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        self.size_multiple = generator.size_multiple
        self.styles = generator.styles
        inner = self._inner
        if isinstance(inner, GatheringGenerator):
            _take_pixelsas_they_lie(inner)
            _upsample_while_convolving(inner)

    def forward(self, frame: Tensor, style: Tensor | None = None) -> Tensor:
        """Turn a frame.

        Args:
            frame: uint8 (1, H, W, 3), sides multiples of ``size_multiple``.
            style: float32 (1, S), or None for a generator without styles.

        Returns:
            uint8, the shape of ``frame``.
        """
        inner = self._inner
        if not isinstance(inner, GatheringGenerator):
            made: Tensor = self.generator(frame.permute(0, 3, 1, 2).float() / 255.0, style)
            return _to_bytes(made).permute(0, 2, 3, 1)
        near, far = inner.input_factor, inner.output_factor
        gathered = pixels = _gather(frame, near).float() / 255.0
        if near != far and (inner.joins_pixels or isinstance(self.generator, Correction)):
            pixels = _gather(frame, far).float() / 255.0
        made = inner.body(gathered, style, pixels if inner.joins_pixels else None)
        if (
            self.styles
            and isinstance(self.generator, FastGenerator)
            and not (self.generator.joins_pixels or self.generator.margin)
        ):
            made = with_margin(without_margin(made, _BORDER), _BORDER)
        if isinstance(self.generator, Correction):
            made = self.generator.corrected(pixels, made)
        return _spread(_to_bytes(made), far)

    @property
    def _inner(self) -> nn.Module:
        """The generator itself, or the one whose pictures it adds to the frame."""
        return self.generator.inner if isinstance(self.generator, Correction) else self.generator


def _to_bytes(made: Tensor) -> Tensor:
    # Nothing is above 1, so this stays under 255.5 and the cast, which cuts, also rounds.
    return (made * 255.0 + 0.5).to(torch.uint8)


def _gather(frame: Tensor, factor: int) -> Tensor:
    """(1, H, W, 3) to (1, 3 factor², H / factor, W / factor), by row, column and colour."""
    _, height, width, _ = frame.shape
    rows, columns = height // factor, width // factor
    lines = frame.reshape(height, columns, 3 * factor).permute(0, 2, 1)
    gathered = lines.reshape(rows, 3 * factor * factor, columns).permute(1, 0, 2)
    return gathered.reshape(1, 3 * factor * factor, rows, columns)


def _spread(pixels: Tensor, factor: int) -> Tensor:
    """Undo :func:`_gather`."""
    _, _, rows, columns = pixels.shape
    lines = pixels.reshape(factor, 3 * factor, rows, columns).permute(0, 2, 3, 1)
    spread = lines.reshape(factor, rows, 3 * factor * columns).permute(1, 0, 2)
    return spread.reshape(1, rows * factor, columns * factor, 3)


def _take_pixelsas_they_lie(generator: GatheringGenerator) -> None:
    """Reorder weights for pixels by row, column and colour, where torch gathers colour first."""
    if isinstance(generator, FastGenerator):
        generator.contrast.reorder(as_they_lie(generator.input_factor))
    stem = generator.stem.convolution
    stem.weight = _fixed(stem.weight[:, as_they_lie(generator.input_factor)])
    order = as_they_lie(generator.output_factor)
    last = generator.last
    if isinstance(last, SmoothSubpixelConv):
        last = generator.last = last.as_convolution()
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    last.weight, last.bias = _fixed(last.weight[order]), _fixed(last.bias[order])
    if isinstance(generator, FastGenerator) and isinstance(generator.wide, JoinConvNorm):
        wide = generator.wide.convolution
        features = wide.weight.shape[1] - generator.wide.skipped
        inputs = [*range(features), *(features + channel for channel in order)]
        wide.weight = _fixed(wide.weight[:, inputs])


def _upsample_while_convolving(generator: GatheringGenerator) -> None:
    """Put transposed convolutions in the place of upsampling and convolution.

    Not for the widest layer where nothing joins in: ONNX Runtime gains nothing there, and sixteen
    taps take more of the file than nine.
    """
    if isinstance(generator, FastGenerator):
        assert isinstance(generator.up, UpConvNorm)
        generator.up = TransposedConvNorm(generator.up)
        if isinstance(generator.wide, JoinConvNorm):
            generator.wide = SplitConvNorm(generator.wide)
    elif isinstance(generator, UNetGenerator):
        for level, layer in enumerate(generator.up):
            assert isinstance(layer, JoinConvNorm)
            generator.up[level] = SplitConvNorm(layer)


def as_they_lie(factor: int) -> list[int]:
    """Return torch's channel for each gathered byte of a square of pixels."""
    places = range(factor * factor)
    return [colour * factor * factor + place for place in places for colour in range(3)]


def _fixed(weights: Tensor) -> nn.Parameter:
    return nn.Parameter(weights.detach().clone(), requires_grad=False)
