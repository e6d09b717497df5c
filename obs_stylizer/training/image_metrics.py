"""How close a picture is to its target: PSNR, SSIM and MS-SSIM."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

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


def ssim(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the structural similarity (Wang et al. 2004), (B,), at most 1.

    Gaussian window of 11 pixels and standard deviation 1.5, without padding, mean of the
    channels.

    Args:
        made: float (B, C, H, W), 0 to 1, sides at least 11.
        wanted: the same shape.
    """
    return _maps(made.double(), wanted.double())[0].flatten(1).mean(1)


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
