"""PSNR, SSIM and MS-SSIM, on pictures whose figures are known."""

from __future__ import annotations

import math

import pytest
import torch

from obs_stylizer.training.image_metrics import MS_SSIM_SIDE, ms_ssim, psnr, ssim

pytestmark = pytest.mark.training


def test_psnr_of_a_known_error() -> None:
    wanted = torch.full((2, 3, 4, 4), 0.5)
    made = wanted + torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    assert psnr(made, wanted).tolist() == pytest.approx([20, 40], abs=1e-4)
    assert float(psnr(wanted, wanted)[0]) == pytest.approx(100)


def test_equal_pictures_are_alike() -> None:
    picture = torch.rand(1, 3, MS_SSIM_SIDE, MS_SSIM_SIDE)
    assert float(ssim(picture, picture)) == pytest.approx(1)
    assert float(ms_ssim(picture, picture)) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_that_of_their_brightness() -> None:
    made, wanted = torch.full((1, 1, 16, 16), 0.4), torch.full((1, 1, 16, 16), 0.8)
    expected = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    assert float(ssim(made, wanted)) == pytest.approx(expected, abs=1e-6)


def test_figures_of_the_reference_implementation() -> None:
    """What pytorch-msssim 1.0.0 gives for the same two pictures, in double precision."""
    place = torch.arange(180 * 201.0).view(1, 1, 180, 201)
    made = 0.5 + 0.4 * torch.sin(place / 7)
    wanted = 0.5 + 0.3 * torch.sin(place / 7 + 0.3) + 0.05 * torch.cos(place / 3)
    assert float(ssim(made, wanted)) == pytest.approx(0.90104258, abs=2e-6)
    assert float(ms_ssim(made, wanted)) == pytest.approx(0.92366209, abs=2e-6)


def test_ms_ssim_of_a_picture_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="at least 161"):
        ms_ssim(torch.rand(1, 3, 160, 200), torch.rand(1, 3, 160, 200))
    assert math.isfinite(float(ms_ssim(torch.rand(1, 1, 161, 161), torch.rand(1, 1, 161, 161))))
