"""Perceptual losses: content and style as distances between features (Gatys et al. 2016).

Every distance is taken relative to the size of what it is measured against, so that a weight of
one means the same for every layer, picture and style.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA: Final = (0.299, 0.587, 0.114)
_TONE_PIXELS: Final = 16
_PLAIN_SIDE: Final = 96
_FAINT: Final = 1e-3
"""Variance below which a picture hardly has any light and dark to keep."""


def gram_matrix(features: Tensor) -> Tensor:
    """Return the mean products of the channels, (B, C, C) in float32, of (B, C, H, W)."""
    # Channels last, as the features come: a view, where flattening channels first would copy.
    flat = features.movedim(1, -1).flatten(1, 2).float()
    # Autocast would turn the product into half precision again, where float16 overflows.
    with torch.autocast(flat.device.type, enabled=False):
        return flat.transpose(1, 2) @ flat / flat.shape[1]


def style_distance(made: Tensor, wanted: Tensor) -> Tensor:
    """Return |made - wanted|² / |wanted|² for each sample: (B,) of Gram matrices (B, C, C)."""
    return (made - wanted).square().sum((1, 2)) / wanted.square().sum((1, 2)).clamp_min(1e-12)


def content_distance(made: Tensor, wanted: Tensor, emphasis: Tensor | None = None) -> Tensor:
    """Return |made - wanted|² / |wanted|² for each sample: (B,) of features (B, C, H, W).

    Args:
        made: features of a made picture.
        wanted: those of the frame it was made of, the same shape.
        emphasis: how much a difference counts at each place, (B, 1, H, W); None for 1.
    """
    difference = (made.float() - wanted.float()).square()
    if emphasis is not None:
        difference = difference * emphasis
    return difference.flatten(1).sum(1) / wanted.float().square().flatten(1).sum(1).clamp_min(1e-12)


def content_similarity(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the cosine between features (B, C, H, W) less each channel's mean: (B,), -1 to 1."""
    # In double precision: half a million products lose the fourth digit in single.
    made, wanted = made.double(), wanted.double()
    made = (made - made.mean((2, 3), keepdim=True)).flatten(1)
    wanted = (wanted - wanted.mean((2, 3), keepdim=True)).flatten(1)
    return torch.cosine_similarity(made, wanted, dim=1)


def tone_distance(made: Tensor, content: Tensor) -> Tensor:
    """Return how little light and dark stay where they were: (B,), 0 (just so) to 2 (swapped).

    One less the correlation of the brightness of squares of 16 pixels; overall brightness and
    contrast are free.

    Args:
        made: pictures (B, 3, H, W), 0 to 1.
        content: what they were made of, of the same shape.
    """
    one, other = (_tones(pictures) for pictures in (made, content))
    shared = (one * other).mean(1)
    spread = ((one.square().mean(1) + _FAINT) * (other.square().mean(1) + _FAINT)).sqrt()
    return 1 - shared / spread


def _tones(pictures: Tensor) -> Tensor:
    luma = torch.tensor(_LUMA, device=pictures.device).view(1, 3, 1, 1)
    tones = F.avg_pool2d((pictures.float() * luma).sum(1, keepdim=True), _TONE_PIXELS).flatten(1)
    return tones - tones.mean(1, keepdim=True)


def total_variation(pictures: Tensor) -> Tensor:
    """Return the mean absolute difference of neighbours in (B, C, H, W), a scalar."""
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean()
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean()
    return across + down


def plain_frames(like: Tensor, seeds: Sequence[int]) -> Tensor:
    """Return frames of one colour each with the noise of a camera, (B, 3, 96, 96), 0 to 1.

    Args:
        like: tensor whose device they are made on.
        seeds: B numbers that colour and noise are drawn from.
    """
    frames = []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        colour = torch.rand(3, 1, 1, generator=draw)
        # Half of them are as bright as walls are, a few white or black, which are the hardest.
        colour = (1.5 * colour - 0.25 * torch.randint(0, 3, (1,), generator=draw)).clamp(0, 1)
        noise = torch.randn(3, _PLAIN_SIDE, _PLAIN_SIDE, generator=draw)
        frames.append(colour + 0.01 * torch.rand(1, generator=draw) * noise)
    return torch.stack(frames).clamp(0, 1).to(like.device)


def unevenness(made: Tensor) -> Tensor:
    """Return how far pictures of plain frames are from one colour each, a scalar.

    The mean absolute difference from each picture's own mean, in the middle: at the borders a
    generator sees an edge.
    """
    rim = made.shape[-1] // 4
    middle = made.float()[..., rim:-rim, rim:-rim]
    return (middle - middle.mean((-2, -1), keepdim=True)).abs().mean()
