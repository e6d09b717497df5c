"""Adversarial losses, on scores that are higher for pictures that look real."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AdversarialKind = Literal["bce", "least_squares", "hinge", "wasserstein"]


def discriminator_loss(
    kind: AdversarialKind, real: Tensor, fake: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Return what the discriminator minimises, a scalar.

    Args:
        kind: bce (Goodfellow et al. 2014), least_squares (Mao et al. 2017), hinge (Lim and Ye
            2017) or wasserstein (Arjovsky et al. 2017).
        real: scores of real pictures, any shape.
        fake: scores of made pictures, any shape.
        smoothing: how far the label of the real ones is under 1 (bce, least_squares).
    """
    real, fake = real.float(), fake.float()
    label = 1.0 - smoothing
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(
            real, torch.full_like(real, label)
        ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    if kind == "least_squares":
        return 0.5 * ((real - label).square().mean() + fake.square().mean())
    if kind == "hinge":
        return F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()
    return fake.mean() - real.mean()


def generator_loss(kind: AdversarialKind, fake: Tensor) -> Tensor:
    """Return what the generator minimises, a scalar; bce is the non-saturating form."""
    fake = fake.float()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))
    if kind == "least_squares":
        return 0.5 * (fake - 1.0).square().mean()
    return -fake.mean()
