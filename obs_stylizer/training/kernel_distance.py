"""How far apart two sets of pictures are, by what a feature network sees in them.

* ``kernel_distance``: squared maximum mean discrepancy with the kernel (x·y / d + 1)³ (KID,
  Binkowski et al. 2018), unbiased, so two sets of one kind come out at about 0, also below. The
  features are a layer's means over the picture, brought to mean 0 and deviation 1 over the real
  pictures: figures compare with others of the same layer only, not with published ones.
* ``coverage``: share of real pictures that have a made one as near as their fifth nearest real
  one (Naeem et al. 2020); it falls where kinds of pictures are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels
from obs_stylizer.training.features import FeatureNetwork
from obs_stylizer.training.tensors import to_tensor

Points = NDArray[np.float64]

NEIGHBOURS: Final = 5
_BATCH: Final = 16


@torch.no_grad()
def features_of(network: FeatureNetwork, pictures: Sequence[Pixels]) -> Points:
    """Return the means of the network's last layer over each picture, (N, d)."""
    layer = network.names[-1]
    found = []
    for first in range(0, len(pictures), _BATCH):
        seen = network(to_tensor(pictures[first : first + _BATCH]), {layer})[layer]
        found.append(seen.double().mean((2, 3)).numpy())
    return np.concatenate(found)


def standardised(sets: Sequence[Points], by: Points) -> list[Points]:
    """Return ``sets`` with the means and deviations of ``by`` brought to 0 and 1.

    A feature that is the same in all of ``by`` is left out: it has no measure.
    """
    spread = by.std(0)
    live = spread > 1e-9
    return [(points[:, live] - by[:, live].mean(0)) / spread[live] for points in sets]


def kernel_distance(one: Points, other: Points) -> float:
    """Return the distance of two sets of points, (N, d) and (M, d); about 0 for one kind."""

    def kernel(a: Points, b: Points) -> Points:
        products: Points = (a @ b.T / a.shape[1] + 1) ** 3
        return products

    within = []
    for points in (one, other):
        products = kernel(points, points)
        count = len(points)
        within.append((products.sum() - np.trace(products)) / (count * (count - 1)))
    return float(within[0] + within[1] - 2 * kernel(one, other).mean())


def coverage(real: Points, made: Points) -> float:
    """Return the share of ``real`` that ``made`` comes near, 0 to 1."""
    among = distances(real, real)
    np.fill_diagonal(among, np.inf)
    nth = min(NEIGHBOURS, len(real) - 1) - 1
    reach = np.sort(among, axis=1)[:, nth]
    return float((distances(real, made).min(1) <= reach).mean())


def distances(one: Points, other: Points) -> Points:
    """Return the distance of each point from each, (N, M)."""
    # Row by row: all differences at once would take gigabytes, and the shorter way by squares
    # leaves a distance of its own between two points that are the same.
    return np.stack([np.sqrt(((other - point) ** 2).sum(1)) for point in one])
