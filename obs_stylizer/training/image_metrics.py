"""Metrics of pictures: against a target, and of one set against another.

* ``psnr``, ``ssim``, ``ms_ssim``: how close a picture is to its target.
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
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from obs_stylizer.frames import Pixels
from obs_stylizer.training.features import FeatureNetwork
from obs_stylizer.training.tensors import to_tensor

WINDOW: Final = 11
_SIGMA: Final = 1.5
_C1, _C2 = 0.01**2, 0.03**2
_SCALE_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_SIDE: Final = (WINDOW - 1) * 2 ** (len(_SCALE_WEIGHTS) - 1) + 1
"""The smallest side that MS-SSIM is defined for."""


def psnr(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in decibels, (B,), of pictures (B, C, H, W), 0 to 1.

    Equal pictures are given 100 dB, so that means stay finite.
    """
    error = (made.double() - wanted.double()).square().flatten(1).mean(1)
    return -10 * error.clamp_min(1e-10).log10()


def ssim(made: Tensor, wanted: Tensor, precision: torch.dtype = torch.float64) -> Tensor:
    """Return the structural similarity (Wang et al. 2004), (B,), at most 1.

    Gaussian window of 11 pixels and standard deviation 1.5, without padding, mean of the
    channels.

    Args:
        made: float (B, C, H, W), 0 to 1, sides at least 11.
        wanted: the same shape.
        precision: to compute in; float32 is quicker, and enough for a loss.
    """
    return _maps(made.to(precision), wanted.to(precision))[0].flatten(1).mean(1)


def ms_ssim(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the multi-scale structural similarity (Wang et al. 2003), (B,), at most 1.

    Args:
        made: float (B, C, H, W), 0 to 1, sides at least :data:`MS_SSIM_SIDE`.
        wanted: the same shape.

    Raises:
        ValueError: a side is smaller.
    """
    if min(made.shape[-2:]) < MS_SSIM_SIDE:
        raise ValueError(f"MS-SSIM needs sides of at least {MS_SSIM_SIDE} pixels")
    made, wanted = made.double(), wanted.double()
    product = torch.ones(made.shape[:2], dtype=torch.float64, device=made.device)
    for number, weight in enumerate(_SCALE_WEIGHTS):
        whole, contrast = (found.flatten(2).mean(2) for found in _maps(made, wanted))
        last = number + 1 == len(_SCALE_WEIGHTS)
        product = product * F.relu(whole if last else contrast) ** weight
        if not last:
            odd = [side % 2 for side in made.shape[-2:]]
            made, wanted = (F.avg_pool2d(picture, 2, padding=odd) for picture in (made, wanted))
    return product.mean(1)


def _maps(made: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the map of SSIM and that of its contrast and structure part."""
    mean_made, mean_wanted = _blur(made), _blur(wanted)
    variance_made = _blur(made * made) - mean_made.square()
    variance_wanted = _blur(wanted * wanted) - mean_wanted.square()
    covariance = _blur(made * wanted) - mean_made * mean_wanted
    contrast = (2 * covariance + _C2) / (variance_made + variance_wanted + _C2)
    light = (2 * mean_made * mean_wanted + _C1) / (mean_made.square() + mean_wanted.square() + _C1)
    return light * contrast, contrast


def _blur(pictures: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=pictures.dtype, device=pictures.device) - WINDOW // 2
    kernel = torch.exp(-places.square() / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, -1)
    across = F.conv2d(pictures, kernel[:, :, None, :], groups=pictures.shape[1])
    return F.conv2d(across, kernel[:, :, :, None], groups=pictures.shape[1])


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
