"""Losses, on inputs whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from obs_stylizer.training.augment import Motion, draw_motion
from obs_stylizer.training.losses import adversarial, perceptual
from obs_stylizer.training.losses.temporal import motion_consistency
from obs_stylizer.training.recipe import TemporalRecipe

pytestmark = pytest.mark.training


def test_a_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    expected = torch.tensor([[[2.5, 0.5], [0.5, 5.0]]])
    assert torch.allclose(perceptual.gram_matrix(features), expected)


def test_distances_are_relative() -> None:
    wanted = torch.full((1, 3, 3), 4.0)
    for scale in (1e-3, 1.0, 1e3):
        distance = perceptual.style_distance(1.5 * scale * wanted, scale * wanted)
        assert float(distance) == pytest.approx(0.25)
    features = torch.ones(2, 3, 4, 4)
    assert perceptual.content_distance(0.5 * features, features).tolist() == pytest.approx(
        [0.25, 0.25]
    )


def test_content_similarity_ignores_brightness_and_contrast() -> None:
    features = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(perceptual.content_similarity(3 * features + 5, features)) == pytest.approx(1)
    assert float(perceptual.content_similarity(-features, features)) == pytest.approx(-1)


def test_tone_wants_light_and_dark_where_they_were() -> None:
    ramp = torch.linspace(0, 1, 64).expand(2, 3, 64, 64)
    recoloured = (0.2 + 0.3 * ramp) * torch.tensor([1.0, 0.5, 0.2]).view(1, 3, 1, 1)
    assert perceptual.tone_distance(ramp, ramp).tolist() == pytest.approx([0, 0], abs=0.02)
    assert perceptual.tone_distance(recoloured, ramp).tolist() == pytest.approx([0, 0], abs=0.2)
    assert perceptual.tone_distance(1 - ramp, ramp).tolist() == pytest.approx([2, 2], abs=0.02)
    # Fine strokes are free: they are averaged away.
    strokes = ramp + 0.3 * (torch.arange(64) % 2 - 0.5)
    assert perceptual.tone_distance(strokes, ramp).tolist() == pytest.approx([0, 0], abs=0.02)
    # A plain picture has no light and dark to keep, so that it asks for next to nothing.
    plain = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    perceptual.tone_distance(plain, torch.full((1, 3, 64, 64), 0.4)).sum().backward()
    assert plain.grad is not None
    assert float(plain.grad.abs().max()) < 1e-6


def test_total_variation_of_stripes() -> None:
    picture = torch.zeros(1, 1, 4, 4)
    picture[..., 1::2] = 1
    assert float(perceptual.total_variation(picture)) == pytest.approx(1)
    assert float(perceptual.total_variation(torch.ones(1, 3, 4, 4))) == 0


@pytest.mark.parametrize(
    ("kind", "real", "fake", "of_discriminator", "of_generator"),
    [
        ("bce", 0.0, 0.0, 2 * math.log(2), math.log(2)),
        ("least_squares", 1.0, 0.0, 0.0, 0.5),
        ("least_squares", 0.0, 1.0, 1.0, 0.0),
        ("hinge", 2.0, -2.0, 0.0, 2.0),
        ("hinge", 0.0, 0.5, 2.5, -0.5),
        ("wasserstein", 3.0, 1.0, -2.0, -1.0),
    ],
)
def test_adversarial_losses(
    kind: adversarial.AdversarialKind,
    real: float,
    fake: float,
    of_discriminator: float,
    of_generator: float,
) -> None:
    scores = [torch.full((2, 3), value) for value in (real, fake)]
    assert float(adversarial.discriminator_loss(kind, *scores)) == pytest.approx(of_discriminator)
    assert float(adversarial.generator_loss(kind, scores[1])) == pytest.approx(of_generator)


def test_label_smoothing_moves_where_the_discriminator_is_content() -> None:
    fake = torch.zeros(4)
    best = adversarial.discriminator_loss("least_squares", torch.full((4,), 0.9), fake, 0.1)
    assert float(best) == pytest.approx(0)


def shifted(across: float, down: float, size: int, noise: float = 0.0) -> Motion:
    theta = torch.tensor([[[1.0, 0, 2 * across / size], [0, 1.0, 2 * down / size]]])
    one = torch.ones(1, 1, 1, 1)
    return Motion(theta, one, noise * one, (1,))


def test_a_motion_shifts_by_the_pixels_it_says() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    moved = shifted(3, -2, 16).disturb(picture)
    assert torch.allclose(moved[..., 2:, :13], picture[..., :14, 3:], atol=1e-5)


def test_what_moves_with_its_input_costs_nothing() -> None:
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    motion = shifted(2, 1, 32)
    assert float(motion_consistency(picture, motion.warp(picture), motion)) < 1e-6
    # A generator that stands still while its input moves pays the difference.
    assert float(motion_consistency(picture, picture, motion)) > 0.1
    # So does one that is a tenth brighter: exactly a tenth, at every pixel that both see.
    brighter = motion.warp(picture) + 0.1
    assert float(motion_consistency(picture, brighter, motion)) == pytest.approx(0.1, abs=1e-5)


def test_pixels_from_outside_the_frame_do_not_count() -> None:
    picture = torch.zeros(1, 3, 32, 32)
    motion = shifted(8, 0, 32)
    made = torch.zeros(1, 3, 32, 32)
    made[..., -8:] = 1
    assert float(motion_consistency(picture, made, motion)) == 0
    assert float(motion.valid(picture).sum()) > 0


def test_drawn_motions_stay_in_bounds_and_repeat() -> None:
    recipe = TemporalRecipe(shift=4, rotation=3, zoom=0.1, noise=0.05, flicker=0.2)
    motion, again = (
        draw_motion(recipe, [np.random.default_rng(n) for n in range(200)], 64) for _ in range(2)
    )
    assert torch.equal(motion.theta, again.theta)
    assert motion.seeds == again.seeds
    assert float(motion.theta[:, :, 2].abs().max()) <= 2 * 4 / 64 + 1e-6
    assert float((motion.gain - 1).abs().max()) <= 0.2
    assert 0 <= float(motion.noise.min()) <= float(motion.noise.max()) <= 0.05
    still = (motion.theta == torch.eye(2, 3)).all(-1).all(-1)
    assert 40 < int(still.sum()) < 95


def test_a_plain_wall_is_to_stay_plain() -> None:
    walls = perceptual.plain_frames(torch.zeros(1), [3, 4, 5])
    assert walls.shape == (3, 3, 96, 96)
    assert walls.min() >= 0
    assert walls.max() <= 1
    assert torch.equal(walls, perceptual.plain_frames(torch.zeros(1), [3, 4, 5]))
    assert not torch.allclose(walls[0].mean((1, 2)), walls[1].mean((1, 2)), atol=0.01)
    grid = torch.zeros(1, 3, 96, 96)
    grid[..., ::2] = 0.2
    assert perceptual.unevenness(grid).item() == pytest.approx(0.1)
    assert perceptual.unevenness(walls).item() < 0.01
    edges = torch.full((1, 3, 96, 96), 0.5)
    edges[..., :8, :] = 1.0
    assert perceptual.unevenness(edges).item() == 0
