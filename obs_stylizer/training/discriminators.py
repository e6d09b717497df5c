"""Discriminators: networks that tell made pictures from real ones.

Each gives its verdict as a list with one tensor of scores for each scale it looks at, and the
features it came by on the way, which feature matching compares.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from obs_stylizer.training.recipe import DiscriminatorRecipe

IMAGE_GRID = 4


@dataclass(frozen=True)
class Verdict:
    """What a discriminator makes of a batch, by scale.

    Attributes:
        scores: (B, classes, h, w) each, higher for more real; no range.
        features: the activations that led there, (B, C, h, w), in order.
    """

    scores: list[Tensor]
    features: list[list[Tensor]]


class Discriminator(ABC, nn.Module):
    """A network that judges pictures."""

    @abstractmethod
    def examine(self, pictures: Tensor) -> Verdict:
        """Judge ``pictures``, float (B, C, H, W), 0 to 1."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the scores of ``pictures`` alone."""
        return self.examine(pictures).scores


class PatchDiscriminator(Discriminator):
    """Judges every patch of a picture by itself (PatchGAN, Isola et al. 2017).

    Convolutions of kernel 4 and stride 2 to ``channels``, one of kernel 4 and stride 1, and one
    to the scores. With three strided ones the receptive field is 70 pixels; see
    :attr:`receptive_field`.

    Args:
        channels: feature maps after each strided convolution.
        classes: scores a patch gets, one for each style; the caller picks the one it wants.
        spectral: bound every layer's Lipschitz constant (Miyato et al. 2018).
        inputs: channels of what is judged; 6 for pairs of pictures.
    """

    def __init__(
        self, channels: tuple[int, ...], classes: int = 1, spectral: bool = True, inputs: int = 3
    ) -> None:
        super().__init__()
        widths = [inputs, *channels]
        layers = _strided(widths)
        layers.append(nn.Conv2d(widths[-1], widths[-1], 4, 1, 1))
        layers.append(nn.Conv2d(widths[-1], classes, 4, 1, 1))
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in layers)
        field, jump = 1, 1
        for layer in layers:
            field += (layer.kernel_size[0] - 1) * jump
            jump *= layer.stride[0]
        self.receptive_field = field

    def examine(self, pictures: Tensor) -> Verdict:
        """Judge the patches of ``pictures``; see :class:`Verdict`."""
        features = _activations(list(self.layers)[:-1], pictures)
        scores: Tensor = self.layers[-1](features[-1])
        return Verdict([scores], [features])


class MultiScaleDiscriminator(Discriminator):
    """Patch discriminators on the picture and on ever smaller copies (Wang et al. 2018).

    Args:
        scales: how many; each sees the picture at half the size of the one before.
        channels: as for :class:`PatchDiscriminator`, as are the others.
        classes: scores a patch gets.
        spectral: whether to bound Lipschitz constants.
        inputs: channels of what is judged.
    """

    def __init__(
        self,
        scales: int,
        channels: tuple[int, ...],
        classes: int = 1,
        spectral: bool = True,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        discriminators = [
            PatchDiscriminator(channels, classes, spectral, inputs) for _ in range(scales)
        ]
        self.receptive_fields = tuple(
            discriminator.receptive_field * 2**number
            for number, discriminator in enumerate(discriminators)
        )
        self.scales = nn.ModuleList(discriminators)

    def examine(self, pictures: Tensor) -> Verdict:
        """Judge ``pictures`` at every scale; see :class:`Verdict`."""
        verdict = Verdict([], [])
        for number, discriminator in enumerate(self.scales):
            assert isinstance(discriminator, PatchDiscriminator)
            found = discriminator.examine(F.avg_pool2d(pictures, 2**number) if number else pictures)
            verdict.scores.extend(found.scores)
            verdict.features.extend(found.features)
        return verdict


class ImageDiscriminator(Discriminator):
    """Judges a picture as a whole (DCGAN, Radford et al. 2016), without batch norm.

    Convolutions of kernel 4 and stride 2 to ``channels``, and one linear layer over a grid of
    four by four, to which larger feature maps are averaged.

    Args:
        channels: feature maps after each strided convolution.
        classes: scores a picture gets.
        spectral: bound every layer's Lipschitz constant (Miyato et al. 2018).
        inputs: channels of what is judged.
    """

    def __init__(
        self, channels: tuple[int, ...], classes: int = 1, spectral: bool = True, inputs: int = 3
    ) -> None:
        super().__init__()
        layers = _strided([inputs, *channels])
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in layers)
        last = nn.Linear(channels[-1] * IMAGE_GRID**2, classes)
        self.last: nn.Module = spectral_norm(last) if spectral else last

    def examine(self, pictures: Tensor) -> Verdict:
        """Judge ``pictures``: scores are (B, classes, 1, 1); see :class:`Verdict`."""
        features = _activations(self.layers, pictures)
        grid = features[-1]
        if grid.shape[-2:] != (IMAGE_GRID, IMAGE_GRID):
            grid = F.adaptive_avg_pool2d(grid, IMAGE_GRID)
        return Verdict([self.last(grid.flatten(1))[:, :, None, None]], [features])


def build_discriminator(
    recipe: DiscriminatorRecipe, classes: int = 1, inputs: int = 3
) -> Discriminator:
    """Make the discriminator of ``recipe`` with freshly drawn weights.

    Args:
        recipe: its kind and size.
        classes: scores each patch gets, one for each style.
        inputs: channels of what it judges.
    """
    spectral = recipe.spectral_norm
    if recipe.kind == "image":
        return ImageDiscriminator(recipe.channels, classes, spectral, inputs)
    if recipe.kind == "multi_scale":
        return MultiScaleDiscriminator(recipe.scales, recipe.channels, classes, spectral, inputs)
    return PatchDiscriminator(recipe.channels, classes, spectral, inputs)


def _strided(widths: list[int]) -> list[nn.Conv2d]:
    return [nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in itertools.pairwise(widths)]


def _activations(layers: Iterable[nn.Module], pictures: Tensor) -> list[Tensor]:
    features = pictures * 2 - 1
    found = []
    for layer in layers:
        features = F.leaky_relu(layer(features), 0.2)
        found.append(features)
    return found
