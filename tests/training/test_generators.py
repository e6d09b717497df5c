"""Generators and discriminators: shapes, styles, and what must not be seen in their pictures."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from obs_stylizer.training.discriminators import PatchDiscriminator
from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.generators.layers import (
    NORM_EPSILON,
    ConditionalInstanceNorm,
    SmoothSubpixelConv,
)

pytestmark = pytest.mark.training


def test_a_style_vector_mixes_scales_and_shifts() -> None:
    norm = ConditionalInstanceNorm(2, 3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([[1.0, 1], [3, 1], [5, 5]]))
        norm.bias.copy_(torch.tensor([[0.0, 0], [2, 4], [9, 9]]))
    features = torch.randn(1, 2, 16, 16)
    normal = F.instance_norm(features, eps=NORM_EPSILON)
    plain = norm(features, torch.tensor([[1.0, 0, 0]]))
    assert torch.allclose(plain, normal, atol=1e-5)
    mixed = norm(features, torch.tensor([[0.5, 0.5, 0]]))
    expected = plain * torch.tensor([2.0, 1]).view(1, 2, 1, 1)
    assert torch.allclose(mixed, expected + torch.tensor([1.0, 2]).view(1, 2, 1, 1), atol=1e-5)


def test_each_sample_has_its_own_style() -> None:
    torch.manual_seed(0)
    generator = FastGenerator(8, 1, 2)
    torch.nn.init.normal_(generator.wide.norm.weight)
    frame = torch.rand(1, 3, 32, 48).expand(2, -1, -1, -1)
    with torch.no_grad():
        both = generator(frame, torch.eye(2))
        alone = generator(frame[:1], torch.eye(2)[1:])
    assert both.shape == (2, 3, 32, 48)
    assert float(both.min()) >= 0
    assert float(both.max()) <= 1
    assert torch.allclose(both[1:], alone, atol=1e-5)
    assert not torch.allclose(both[:1], alone, atol=1e-2)


def test_the_fold_is_convolution_then_blur() -> None:
    torch.manual_seed(0)
    layer = SmoothSubpixelConv(5)
    features = torch.randn(1, 5, 8, 9)
    plain = F.pixel_shuffle(F.conv2d(features, layer.weight, layer.bias, padding=1), 2)
    made = F.pixel_shuffle(layer(features), 2)[..., :-1, :-1]
    assert torch.allclose(made, F.avg_pool2d(plain, 2, 1), atol=1e-5)


def test_a_flat_area_stays_flat() -> None:
    torch.manual_seed(0)
    generator = FastGenerator(8, 2, 2).eval()
    torch.nn.init.normal_(generator.last.weight)
    with torch.no_grad():
        flat = generator(torch.full((1, 3, 128, 128), 0.7), torch.tensor([[0.5, 0.5]]))
    assert float(flat[..., 56:72, 56:72].std((2, 3)).max()) < 1e-5


def test_the_receptive_field_of_a_patch() -> None:
    judge = PatchDiscriminator((4, 4, 4), spectral=False)
    assert judge.receptive_field == 70
    pictures = torch.rand(1, 3, 160, 160, requires_grad=True)
    scores = judge(pictures)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert pictures.grad is not None
    touched = pictures.grad.abs().sum((0, 1)).nonzero()
    assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [70, 70]


def test_spectral_norm_of_every_layer_is_one() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator((8, 8), classes=3)
    assert judge(torch.rand(2, 3, 64, 64)).shape[:2] == (2, 3)
    for _ in range(50):
        judge(torch.rand(1, 3, 64, 64))
    judge.eval()
    for layer in judge.layers:
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert float(largest) == pytest.approx(1, abs=0.02)
