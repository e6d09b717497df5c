"""Differentiable augmentation of what a discriminator sees (Zhao et al. 2020).

A discriminator that has only a few real pictures learns them by heart. Shown real and made
pictures under the same kinds of random change, with gradients flowing through the change, it
cannot, and the change does not leak into what the generator makes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_SHIFT = 0.125
_HOLE = 0.35


def augment(pictures: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return pictures in other colours, shifted, and with a square cut out ("DiffAugment").

    Brightness changes by up to a tenth, saturation and contrast by a quarter: a painting's
    palette is part of its style, so these are milder than published.

    Args:
        pictures: (B, C, H, W), 0 to 1; C is a multiple of 3, all of which change alike.
        seeds: one for each picture, uniform integers.
    """
    return torch.cat(
        [_change(picture[None], seed) for picture, seed in zip(pictures, seeds, strict=True)]
    )


def _change(picture: Tensor, seed: int) -> Tensor:
    draw = torch.rand(8, generator=torch.Generator().manual_seed(seed)).tolist()
    height, width = picture.shape[-2:]
    changed = picture + (draw[0] - 0.5) * 0.2
    planes = changed.unflatten(1, (-1, 3))
    grey = planes.mean(2, keepdim=True)
    changed = ((planes - grey) * (0.75 + 0.5 * draw[1]) + grey).flatten(1, 2)
    mean = changed.mean((1, 2, 3), keepdim=True)
    changed = (changed - mean) * (0.75 + 0.5 * draw[2]) + mean
    down, across = (round((draw[3 + n] * 2 - 1) * _SHIFT * s) for n, s in ((0, height), (1, width)))
    changed = F.pad(changed, (max(across, 0), max(-across, 0), max(down, 0), max(-down, 0)))
    top, left = max(-down, 0), max(-across, 0)
    changed = changed[..., top : top + height, left : left + width]
    hole = torch.ones(1, 1, height, width, device=picture.device)
    tall, wide = round(height * _HOLE), round(width * _HOLE)
    row, column = round(draw[5] * (height - tall)), round(draw[6] * (width - wide))
    hole[..., row : row + tall, column : column + wide] = 0
    return changed * hole
