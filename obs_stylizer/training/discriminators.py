"""Discriminators: networks that tell made pictures from real ones."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from obs_stylizer.training.recipe import DiscriminatorRecipe


class PatchDiscriminator(nn.Module):
    """Judges every patch of a picture by itself (Isola et al. 2017).

    Convolutions of kernel 4 and stride 2 to ``channels``, one of kernel 4 and stride 1, and one
    to the scores. With three strided ones the receptive field is 70 pixels; see
    :attr:`receptive_field`.

    Args:
        channels: feature maps after each strided convolution.
        classes: scores a patch gets, one for each style; the caller picks the one it wants.
        spectral: bound every layer's Lipschitz constant (Miyato et al. 2018).
    """

    def __init__(self, channels: tuple[int, ...], classes: int = 1, spectral: bool = True) -> None:
        super().__init__()
        widths = [3, *channels]
        layers: list[nn.Conv2d] = [
            nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in itertools.pairwise(widths)
        ]
        layers.append(nn.Conv2d(widths[-1], widths[-1], 4, 1, 1))
        layers.append(nn.Conv2d(widths[-1], classes, 4, 1, 1))
        self.layers = nn.ModuleList(spectral_norm(layer) if spectral else layer for layer in layers)
        field, jump = 1, 1
        for layer in layers:
            field += (layer.kernel_size[0] - 1) * jump
            jump *= layer.stride[0]
        self.receptive_field = field

    def forward(self, pictures: Tensor) -> Tensor:
        """Score the patches of ``pictures``.

        Args:
            pictures: float (B, 3, H, W), 0 to 1.

        Returns:
            (B, classes, h, w), higher for more real; no range.
        """
        features = pictures * 2 - 1
        for layer in self.layers[:-1]:
            features = F.leaky_relu(layer(features), 0.2)
        scores: Tensor = self.layers[-1](features)
        return scores


def build_discriminator(recipe: DiscriminatorRecipe, classes: int = 1) -> PatchDiscriminator:
    """Make the discriminator of ``recipe`` with freshly drawn weights."""
    return PatchDiscriminator(recipe.channels, classes, recipe.spectral_norm)
