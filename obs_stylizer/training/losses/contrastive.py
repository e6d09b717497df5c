"""Patchwise contrastive loss: what stands at a place should still be told from other places."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def patch_nce(made: Tensor, source: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the InfoNCE loss of Park et al. 2020 (CUT), a scalar.

    Each place of the output must be most alike to the same place of the source, among all the
    places that were drawn from the same picture.

    Args:
        made: features at P places of the output, (B, P, C).
        source: features at the same places of the source, (B, P, C); no gradient flows back.
        temperature: divides the cosines.
    """
    made = F.normalize(made.float(), dim=2)
    source = F.normalize(source.detach().float(), dim=2)
    logits = made @ source.transpose(1, 2) / temperature
    same = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    return F.cross_entropy(logits.flatten(0, 1), same.flatten())


def features_at(features: Tensor, places: Tensor) -> Tensor:
    """Return what (B, C, h, w) holds at ``places``, (P,) in 0 to 1 of all: (B, P, C)."""
    flat = features.flatten(2)
    chosen = (places.to(flat) * flat.shape[2]).long().clamp_max(flat.shape[2] - 1)
    return flat[:, :, chosen].transpose(1, 2)
