"""Filters as networks with fixed weights: exported like generators, without any training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from obs_stylizer.training.filter_recipes import (
    BlocksRecipe,
    FilterKind,
    HalftoneRecipe,
    OilRecipe,
    WatercolourRecipe,
)
from obs_stylizer.training.native import FrameNetwork

_LUMINANCE = (0.299, 0.587, 0.114)
_STEPS = (
    (0, 1),
    (1, 0),
    (0, -1),
    (-1, 0),
    (0.71, 0.71),
    (0.71, -0.71),
    (-0.71, 0.71),
    (-0.71, -0.71),
)
"""Eight directions from a pixel, down and right."""
_PAPER = 128
"""Pixels after which the paper repeats."""


def build_filter(recipe: FilterKind) -> FrameNetwork:
    """Return the network of the one kind that ``recipe`` names."""
    if recipe.halftone is not None:
        return HalftonePrint(recipe.halftone)
    if recipe.blocks is not None:
        return BlocksPrint(recipe.blocks)
    if recipe.oil is not None:
        return OilPaint(recipe.oil)
    assert recipe.watercolour is not None
    return Watercolour(recipe.watercolour)


class HalftonePrint(FrameNetwork):
    """Prints a picture in flat inks, with dots of the next ink where it lies between two.

    The screen has an angle of 45 degrees and a dot every 5.7 pixels: two in each square of eight.

    Args:
        recipe: its inks and how they are chosen.
    """

    size_multiple = 8
    styles = 0
    inks: Tensor
    opponents: Tensor
    screen: Tensor

    def __init__(self, recipe: HalftoneRecipe) -> None:
        super().__init__()
        inks = _colours(recipe.inks)
        self.contrast, self.chroma = recipe.contrast, recipe.chroma
        self.register_buffer("inks", (inks * 255).round().to(torch.uint8))
        self.register_buffer("opponents", _opponent(inks[None, None])[0, 0])
        self.register_buffer("screen", _screen() / max(recipe.dot, 1e-6))

    def forward(self, frame: Tensor) -> Tensor:
        """Print uint8 (1, H, W, 3), sides multiples of eight, into the same shape."""
        _, height, width, _ = frame.shape
        # The mean of three by three, so that noise chooses no ink.
        smooth = F.avg_pool2d(
            frame.permute(0, 3, 1, 2).float() / 255, 3, 1, 1, count_include_pad=False
        )
        colours = _opponent(smooth.permute(0, 2, 3, 1))
        colours = _strengthen(colours, self.contrast, self.chroma)
        distances = _distances(colours.reshape(-1, 3), self.opponents)
        nearest = distances.amin(1, keepdim=True)
        first = distances.argmin(1)
        others = distances + 1e3 * (distances <= nearest)
        next_ = others.amin(1)
        second = others.argmin(1)
        near, far = nearest[:, 0].clamp(min=0).sqrt(), next_.clamp(min=0).sqrt()
        # 0 on an ink itself, 1 half-way between two.
        between = 2 * near / (near + far + 1e-6)
        radius = ((between - 0.35) / 0.65).clamp(0, 1).reshape(height // 8, 8, width // 8, 8)
        dotted = (self.screen[None, :, None] < radius).reshape(-1)
        return self.inks[torch.where(dotted, second, first)].reshape(1, height, width, 3)


class BlocksPrint(FrameNetwork):
    """Paints squares in the nearest colour of a palette, dithered by two by two.

    Args:
        recipe: the palette and how its colours are chosen.
    """

    styles = 0
    palette: Tensor
    opponents: Tensor
    pattern: Tensor

    def __init__(self, recipe: BlocksRecipe) -> None:
        super().__init__()
        palette = _colours(recipe.palette)
        self.side = recipe.side
        self.size_multiple = 2 * recipe.side
        self.contrast, self.chroma = recipe.contrast, recipe.chroma
        self.register_buffer("palette", (palette * 255).round().to(torch.uint8))
        self.register_buffer("opponents", _opponent(palette[None, None])[0, 0])
        bayer = torch.tensor([[0.0, 2.0], [3.0, 1.0]]) / 4 - 0.375
        self.register_buffer("pattern", recipe.dither * bayer)

    def forward(self, frame: Tensor) -> Tensor:
        """Paint uint8 (1, H, W, 3), sides multiples of two blocks, into the same shape."""
        _, height, width, _ = frame.shape
        side = self.side
        rows, columns = height // side, width // side
        means = F.avg_pool2d(frame.permute(0, 3, 1, 2).float() / 255, side).permute(0, 2, 3, 1)
        colours = _strengthen(_opponent(means), self.contrast, self.chroma)
        light, others = colours[..., :1], colours[..., 1:]
        apart = light.reshape(rows // 2, 2, columns // 2, 2) + self.pattern[None, :, None]
        colours = torch.cat([apart.reshape(1, rows, columns, 1), others], 3)
        chosen = _distances(colours.reshape(-1, 3), self.opponents).argmin(1)
        painted = self.palette[chosen].reshape(rows, 1, columns, 1, 3)
        return painted.expand(rows, side, columns, side, 3).reshape(1, height, width, 3)


class OilPaint(FrameNetwork):
    """Paints a picture in patches; see :func:`even_patches`.

    Args:
        recipe: sizes of the brush, colours and relief.
    """

    size_multiple = 8
    styles = 0
    emboss: Tensor

    def __init__(self, recipe: OilRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        slope = torch.tensor([[-1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]) / 3
        self.register_buffer("emboss", slope[None, None])

    def forward(self, frame: Tensor) -> Tensor:
        """Paint uint8 (1, H, W, 3), sides multiples of eight, into the same shape."""
        recipe = self.recipe
        made = frame.permute(0, 3, 1, 2).float() / 255
        for radius in recipe.radii:
            made = even_patches(made, radius)
        made = _coloured(made, recipe.contrast, recipe.chroma)
        slope = F.conv2d(_padded(_lightness(made), 1, 1), self.emboss)
        # Bent, so that a patch's border is lit and an edge of the picture is not a cliff.
        return _frame(made - recipe.relief * torch.tanh(6 * slope) / 6)


class Watercolour(FrameNetwork):
    """Washes a picture onto paper, whose grain and blots stay in place.

    The density of pigment, minus the logarithm of what is left of the light, is what edges and
    blots change, as in Bousseau et al. 2006, "Interactive watercolor rendering with temporal
    coherence and abstraction".

    Args:
        recipe: sizes of the washes, and how uneven they are.
    """

    size_multiple = 8
    styles = 0
    paper: Tensor

    def __init__(self, recipe: WatercolourRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.register_buffer("paper", _paper())

    def forward(self, frame: Tensor) -> Tensor:
        """Wash uint8 (1, H, W, 3), sides multiples of eight, into the same shape."""
        recipe = self.recipe
        _, height, width, _ = frame.shape
        made = frame.permute(0, 3, 1, 2).float() / 255
        for radius in recipe.radii:
            made = even_patches(made, radius)
        made = _coloured(made, 1.0, recipe.chroma)
        made = made + recipe.lightness * (1 - made)
        light = _lightness(made)
        border = (_blurred(light, 2.5) - light).abs()
        rows = torch.arange(height, device=frame.device) % _PAPER
        columns = torch.arange(width, device=frame.device) % _PAPER
        grain = self.paper[rows][:, columns]
        density = 1 + recipe.wet_edges * 6 * border + recipe.granulation * grain
        return _frame(made.clamp(0.02, 1.0).pow(density))


def even_patches(pictures: Tensor, radius: int) -> Tensor:
    """Give each pixel the mean of the most even of eight areas beside it.

    A Kuwahara filter with soft choice, weights 1 / (1 + (255 s)^8) of the areas' deviations s as
    in Papari et al. 2007 and Kyprianidis et al. 2009, "Image and Video Abstraction by Anisotropic
    Kuwahara Filtering". The areas are Gaussians beside the pixel in place of sectors around it:
    one blur then serves all eight.

    Args:
        pictures: float (B, 3, H, W), 0 to 1.
        radius: how far an area reaches, in pixels.

    Returns:
        The same shape.
    """
    height, width = pictures.shape[-2:]
    # Around the middle of the range squares are smaller, and lose less in their difference.
    centred = pictures - 0.5
    squares = centred.square().sum(1, keepdim=True)
    means = _blurred(torch.cat([centred, squares], 1), 0.42 * radius)
    mean, square = means[:, :3], means[:, 3:]
    variance = (square - mean.square().sum(1, keepdim=True)).clamp(min=0) * (255**2 / 3)
    weight = 1 / (1 + variance.square().square())
    # How even an area is depends on it alone, so all is weighed once and then only moved.
    reach = max(1, round(0.62 * radius))
    weighed = _padded(torch.cat([mean * weight, weight], 1), reach, reach)
    total = torch.zeros_like(means)
    for down, across in _STEPS:
        top, left = reach + round(down * reach), reach + round(across * reach)
        total = total + weighed[:, :, top : top + height, left : left + width]
    return total[:, :3] / total[:, 3:].clamp(min=1e-20) + 0.5


def _blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Blur (B, C, H, W) by a Gaussian, first along rows and then along columns."""
    reach = math.ceil(2.2 * sigma)
    weights = [math.exp(-(place**2) / (2 * sigma**2)) for place in range(-reach, reach + 1)]
    kernel = torch.tensor(weights, device=pictures.device) / sum(weights)
    kernel = kernel.repeat(pictures.shape[1], 1, 1, 1)
    groups = pictures.shape[1]
    rows = F.conv2d(_padded(pictures, 0, reach), kernel, groups=groups)
    return F.conv2d(_padded(rows, reach, 0), kernel.mT, groups=groups)


def _padded(pictures: Tensor, down: int, across: int) -> Tensor:
    """Repeat the border of (B, C, H, W) on every side.

    Not F.pad: what that becomes in ONNX does not exist in the operator set that we export.
    """
    for axis, reach in ((-2, down), (-1, across)):
        if reach:
            sides = [-1, -1, -1, -1]
            sides[axis] = reach
            first = pictures.narrow(axis, 0, 1).expand(sides)
            last = pictures.narrow(axis, pictures.shape[axis] - 1, 1).expand(sides)
            pictures = torch.cat([first, pictures, last], axis)
    return pictures


def _paper() -> Tensor:
    """Return (P, P) with mean 0: blots of pigment and a paper's grain, both repeatable."""
    random = torch.Generator().manual_seed(1831)
    noise = torch.rand(1, 1, _PAPER, _PAPER, generator=random) - 0.5
    found = torch.zeros_like(noise)
    for sigma, share in ((0.7, 0.35), (3.0, 0.25), (12.0, 0.4)):
        reach = math.ceil(3 * sigma)
        wrapped = F.pad(noise, (reach,) * 4, mode="circular")
        blurred = _blurred(wrapped, sigma)[:, :, reach:-reach, reach:-reach]
        found = found + share * blurred / blurred.std()
    return (found - found.mean()).clamp(-2, 2)[0, 0]


def _frame(pictures: Tensor) -> Tensor:
    """Return float (B, 3, H, W), 0 to 1, as uint8 (B, H, W, 3)."""
    return (pictures.clamp(0, 1) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)


def _lightness(pictures: Tensor) -> Tensor:
    red, green, blue = pictures[:, :1], pictures[:, 1:2], pictures[:, 2:]
    return _LUMINANCE[0] * red + _LUMINANCE[1] * green + _LUMINANCE[2] * blue


def _coloured(pictures: Tensor, contrast: float, chroma: float) -> Tensor:
    """Return (B, 3, H, W) with lightness and colour spread around middle grey and around grey."""
    light = _lightness(pictures)
    made = (light - 0.5) * contrast + 0.5 + chroma * (pictures - light)
    return made.clamp(0, 1)


def _colours(names: Sequence[str]) -> Tensor:
    """Return (C, 3), 0 to 1, of ``#rrggbb``."""
    return torch.tensor([[int(n[i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in names])


def _opponent(pixels: Tensor) -> Tensor:
    """Return (..., 3) as lightness and two differences of colour, of about the eye's weights.

    Y'CbCr of BT.601: one product of matrices, and near enough to choose among few colours.
    """
    matrix = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=pixels.device
    )
    return pixels @ matrix.T


def _strengthen(colours: Tensor, contrast: float, chroma: float) -> Tensor:
    scale = torch.tensor([contrast, chroma, chroma])
    shift = torch.tensor([0.5 * (1 - contrast), 0.0, 0.0])
    return colours * scale + shift


def _distances(colours: Tensor, others: Tensor) -> Tensor:
    """Return squared distances (N, C) of colours (N, 3) and (C, 3)."""
    return (
        colours.square().sum(1, keepdim=True)
        - 2 * colours @ others.T
        + others.square().sum(1)[None]
    )


def _screen() -> Tensor:
    """Return (8, 8): distance from the middle of the nearest dot, in distances between dots."""
    places = torch.arange(8.0) + 0.5
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    found = [
        torch.hypot((rows - top + 4) % 8 - 4, (columns - left + 4) % 8 - 4)
        for top, left in ((2.0, 2.0), (6.0, 6.0))
    ]
    return torch.minimum(*found) / math.sqrt(32)
