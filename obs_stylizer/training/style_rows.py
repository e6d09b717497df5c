"""Carrying learnt styles from one generator to another that has more of them, or fewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def carry_styles(
    saved: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    old: Sequence[str],
    new: Sequence[str],
) -> dict[str, Tensor]:
    """Return ``saved`` with a row for each of the ``new`` styles where it had one for each old.

    A style that both have keeps its row; one that is new begins as the mean of all.

    Args:
        saved: weights of a network that knows the ``old`` styles, in their order.
        wanted: weights of the network that they are meant for, for their shapes.
        old: names of the styles.
        new: likewise.
    """
    carried = {}
    for name, weights in saved.items():
        shape = wanted[name].shape if name in wanted else weights.shape
        by_style = (
            weights.ndim > 0
            and list(old) != list(new)
            and weights.shape[0] == len(old)
            and tuple(shape) == (len(new), *weights.shape[1:])
        )
        if by_style:
            mean = weights.mean(dim=0)
            rows = [weights[old.index(style)] if style in old else mean for style in new]
            weights = torch.stack(rows)
        carried[name] = weights
    return carried
