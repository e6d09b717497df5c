"""Feature matching: the discriminator's features as a measure of similarity (Wang et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def feature_matching(
    made: Sequence[Sequence[Tensor]], wanted: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Return the mean absolute difference of features over layers and scales, a scalar.

    Args:
        made: features of the output by scale and layer, (B, C, h, w) each.
        wanted: those of the target, the same shapes; no gradient flows into them.
    """
    differences = [
        (feature.float() - other.detach().float()).abs().mean()
        for of_made, of_wanted in zip(made, wanted, strict=True)
        for feature, other in zip(of_made, of_wanted, strict=True)
    ]
    return torch.stack(differences).mean()
