"""Known motion of a picture: what a hand-held, noisy, flickering camera does between two frames.

The same motion is applied to a generator's input and to its output, so that the two outputs can
be compared where both see the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from obs_stylizer.training.recipe import TemporalRecipe

BORDER: Final = 0.04


@dataclass(frozen=True)
class Motion:
    """Motion of a batch.

    Attributes:
        theta: float32 (B, 2, 3), affine maps in the units of ``affine_grid``.
        gain: float32 (B, 1, 1, 1), change of brightness.
        noise: float32 (B, 1, 1, 1), standard deviation of the noise.
        seeds: one for each sample's noise.
    """

    theta: Tensor
    gain: Tensor
    noise: Tensor
    seeds: tuple[int, ...]

    def to(self, device: torch.device) -> Motion:
        """Return the same motion with its tensors on ``device``."""
        return Motion(
            self.theta.to(device), self.gain.to(device), self.noise.to(device), self.seeds
        )

    def warp(self, pictures: Tensor) -> Tensor:
        """Move ``pictures`` (B, C, H, W), bilinearly; what comes from outside repeats the edge."""
        return F.grid_sample(
            pictures, self._grid(pictures), padding_mode="border", align_corners=False
        )

    def valid(self, pictures: Tensor, margin: float = BORDER) -> Tensor:
        """Return 1 where the moved picture shows what was inside the frame, else 0.

        Args:
            pictures: (B, C, H, W), for its shape and device.
            margin: share of the half side that is left out at the borders, where the zero
                padding of the two pictures differs.

        Returns:
            float32 (B, 1, H, W).
        """
        grid = self._grid(pictures)
        seen = (grid.abs().amax(-1, keepdim=True) < 1 - margin).float().movedim(-1, 1)
        height, width = pictures.shape[-2:]
        inner = torch.zeros(1, 1, height, width, device=pictures.device)
        rows, columns = round(margin * height / 2), round(margin * width / 2)
        inner[:, :, rows : height - rows, columns : width - columns] = 1
        return seen * inner

    def disturb(self, pictures: Tensor) -> Tensor:
        """Return moved ``pictures`` (B, 3, H, W), 0 to 1, with flicker and noise added."""
        moved = self.warp(pictures) * self.gain
        return (moved + noise_like(moved, self.seeds) * self.noise).clamp(0, 1)

    def _grid(self, pictures: Tensor) -> Tensor:
        batch, _, height, width = pictures.shape
        return F.affine_grid(self.theta, [batch, 1, height, width], align_corners=False)


def draw_motion(
    recipe: TemporalRecipe, randoms: Sequence[np.random.Generator], size: int
) -> Motion:
    """Draw the motion of one sample for each of ``randoms``, for pictures of side ``size``.

    A third of the samples stand still and have only noise and flicker; a third are shifted by
    whole pixels, so that interpolation does not teach the generator to blur; the rest are also
    turned and zoomed.
    """
    thetas, gains, noises, seeds = [], [], [], []
    for random in randoms:
        kind = random.random()
        angle = zoom = across = down = 0.0
        if kind > 1 / 3:
            across, down = np.round(random.uniform(-recipe.shift, recipe.shift, 2))
        if kind > 2 / 3:
            across, down = random.uniform(-recipe.shift, recipe.shift, 2)
            angle = math.radians(random.uniform(-recipe.rotation, recipe.rotation))
            zoom = random.uniform(-recipe.zoom, recipe.zoom)
        scale = 1.0 + zoom
        cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
        thetas.append([[cosine, -sine, 2 * across / size], [sine, cosine, 2 * down / size]])
        gains.append(1.0 + random.uniform(-recipe.flicker, recipe.flicker))
        noises.append(random.uniform(0, recipe.noise))
        seeds.append(int(random.integers(2**31)))
    count = len(seeds)
    return Motion(
        torch.tensor(thetas, dtype=torch.float32),
        torch.tensor(gains, dtype=torch.float32).view(count, 1, 1, 1),
        torch.tensor(noises, dtype=torch.float32).view(count, 1, 1, 1),
        tuple(seeds),
    )


def noise_like(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return normal noise of the shape of ``pictures``, each sample from a seed of its own."""
    noise = torch.empty(pictures.shape, dtype=torch.float32)
    for row, seed in zip(noise, seeds, strict=True):
        row.normal_(generator=torch.Generator().manual_seed(seed))
    return noise.to(pictures.device)
