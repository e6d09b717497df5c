"""DCGAN: pictures from noise."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 4


class LatentGenerator(nn.Module):
    """Noise to picture (Radford et al. 2016), upsampling without a chequerboard.

    A linear layer to a grid of four by four, then nearest-neighbour upsampling, a 3x3
    convolution, batch normalisation and ReLU until the size is reached. Beyond its edge a
    picture goes on as it ends: zeros there would draw a frame around each one.

    Args:
        latent: length Z of the noise vector.
        channels: feature maps at half of the final resolution; twice as many at each coarser
            one, eight times at most.
        size: side of the pictures, four times a power of two.
    """

    def __init__(self, latent: int, channels: int, size: int) -> None:
        super().__init__()
        self.latent, self.size = latent, size
        levels = (size // GRID).bit_length() - 1
        if size != GRID * 2**levels or levels < 1:
            raise ValueError(f"a side of {size} is not four times a power of two")
        widths = [channels * min(2**level, 8) for level in reversed(range(levels))]
        self.first = nn.Linear(latent, widths[0] * GRID**2)
        self.first_norm = nn.BatchNorm2d(widths[0])
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, bias=False)
            for inputs, outputs in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.last = nn.Conv2d(widths[-1], 3, 3)

    def forward(self, latent: Tensor) -> Tensor:
        """Make pictures.

        Args:
            latent: float (B, Z), standard normal.

        Returns:
            float (B, 3, size, size), 0 to 1.
        """
        features = self.first(latent).unflatten(1, (-1, GRID, GRID))
        features = F.relu(self.first_norm(features))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = F.relu(norm(layer(_with_edges_repeated(features))))
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return torch.sigmoid(self.last(_with_edges_repeated(features)))


def _with_edges_repeated(features: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C, H + 2, W + 2)."""
    # The operator for padding so cannot be exported to the opset that every runtime reads.
    features = torch.cat([features[..., :1], features, features[..., -1:]], 3)
    return torch.cat([features[..., :1, :], features, features[..., -1:, :]], 2)
