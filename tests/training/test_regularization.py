"""Regularization of adversarial training, on problems whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from obs_stylizer.training.gan_loss import GanLoss
from obs_stylizer.training.image_pool import ImagePool
from obs_stylizer.training.losses.regularization import clip_weights, gradient_penalty, r1_penalty
from obs_stylizer.training.recipe import AdversarialRecipe

pytestmark = pytest.mark.training

SLOPE = torch.tensor([[3.0, 4.0]])


def linear(samples: Tensor) -> list[Tensor]:
    """A critic whose gradient is (3, 4) everywhere, of norm 5."""
    return [samples @ SLOPE.T]


def test_the_gradient_penalty_of_a_linear_critic() -> None:
    real, fake = torch.randn(6, 2), torch.randn(6, 2)
    penalty = gradient_penalty(linear, real, fake, torch.rand(6))
    assert float(penalty) == pytest.approx((5 - 1) ** 2, rel=1e-5)


def test_the_gradient_penalty_is_taken_where_the_share_says() -> None:
    def quadratic(samples: Tensor) -> list[Tensor]:
        return [samples.square().sum(1) / 2]  # its gradient is the sample itself

    real, fake = torch.full((1, 4), 2.0), torch.full((1, 4), 6.0)
    for share, norm in ((1.0, 4.0), (0.0, 12.0), (0.25, 10.0)):
        penalty = gradient_penalty(quadratic, real, fake, torch.tensor([share]))
        assert float(penalty.detach()) == pytest.approx((norm - 1) ** 2, rel=1e-5)


def test_the_r1_penalty_of_a_linear_critic() -> None:
    assert float(r1_penalty(linear, torch.randn(3, 2))) == pytest.approx(25, rel=1e-5)


def test_penalties_average_over_scales() -> None:
    def two(samples: Tensor) -> list[Tensor]:
        return [*linear(samples), 2 * linear(samples)[0]]

    real, fake = torch.randn(3, 2), torch.randn(3, 2)
    assert float(r1_penalty(two, real)) == pytest.approx((25 + 100) / 2, rel=1e-5)
    penalty = gradient_penalty(two, real, fake, torch.rand(3))
    assert float(penalty) == pytest.approx((16 + 81) / 2, rel=1e-5)


def test_a_penalty_teaches_a_critic_a_gradient_of_one() -> None:
    torch.manual_seed(0)
    critic = nn.Linear(2, 1)
    with torch.no_grad():
        critic.weight.copy_(SLOPE)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        samples = torch.randn(4, 2)
        gradient_penalty(lambda x: [critic(x)], samples, samples, torch.rand(4)).backward()
        optimizer.step()
    assert float(critic.weight.detach().norm()) == pytest.approx(1, abs=1e-3)


def test_clipped_weights() -> None:
    network = nn.Linear(2, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.5, -3.0]]))
        network.bias.fill_(-0.01)
    clip_weights(network, 0.1)
    assert network.weight.tolist() == [[pytest.approx(0.1), pytest.approx(-0.1)]]
    assert float(network.bias.detach()) == pytest.approx(-0.01)


def test_the_spectral_norm_of_a_known_matrix() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        # Singular values 4 and 2.
        turn = torch.tensor([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
        known = turn @ torch.diag(torch.tensor([4.0, 2.0]))
        layer.weight.copy_(known)
    bounded = spectral_norm(layer)
    for _ in range(30):
        bounded(torch.eye(2))
    assert torch.allclose(bounded.weight, known / 4, atol=1e-4)


def test_an_image_pool_gives_back_what_it_kept() -> None:
    pool = ImagePool(2)
    numbers = torch.arange(5.0).view(5, 1, 1, 1)
    # The first two fill it; an even seed passes through, an odd one picks a place to exchange.
    given = pool.exchange(numbers, [1, 1, 4, 1, 3])
    assert given.flatten().tolist() == [0, 1, 2, 0, 1]
    again = ImagePool(2)
    again.load_state(pool.state())
    assert again.exchange(numbers[:2], [1, 3]).flatten().tolist() == [3, 4]
    assert torch.equal(ImagePool(0).exchange(numbers, [1] * 5), numbers)


def test_instance_noise_is_as_wide_as_the_recipe_says_and_other_for_each_turn() -> None:
    gan_loss = GanLoss(AdversarialRecipe(instance_noise=0.25))
    still = torch.zeros(4, 3, 32, 32)
    first, second = (gan_loss.noisy(still, [1, 20, 300, 4000], turn) for turn in (1, 2))
    assert float(first.std()) == pytest.approx(0.25, rel=0.03)
    assert not torch.allclose(first, second, atol=0.01)
    assert torch.equal(first, gan_loss.noisy(still, [1, 20, 300, 4000], 1))


def test_a_pool_keeps_the_discriminator_from_forgetting() -> None:
    """Of what the generator no longer makes, a pool still shows some; without one it is gone."""
    random = torch.Generator().manual_seed(0)
    old, new = torch.zeros(64, 1), torch.ones(64, 1)
    for size, share in ((64, 0.35), (0, 0.0)):
        pool = ImagePool(size)
        pool.exchange(old, [0] * 64)
        seeds = torch.randint(2**31, (64,), generator=random).tolist()
        shown = pool.exchange(new, seeds)
        assert float((shown == 0).float().mean()) == pytest.approx(share, abs=0.1)


MODES = 8
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1)


def modes_covered(recipe: AdversarialRecipe, updates: int, spectral: bool = False) -> int:
    """Train small networks on eight Gaussians on a ring; return how many the generator finds.

    A Gaussian is found when a hundredth of the made points lie within 0.15 of its centre.
    """
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    generator = nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2)
    )
    discriminator = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    if spectral:
        discriminator = nn.Sequential(
            *(
                spectral_norm(part) if isinstance(part, nn.Linear) else part
                for part in discriminator
            )
        )
    generator_optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    discriminator_optimizer = torch.optim.Adam(
        discriminator.parameters(), lr=recipe.learning_rate, betas=(0.5, 0.9)
    )
    gan_loss, pool = GanLoss(recipe), ImagePool(recipe.pool)

    def critic(points: Tensor) -> list[Tensor]:
        return [discriminator(points)]

    def made(count: int) -> Tensor:
        points: Tensor = generator(torch.randn(count, 2, generator=random))
        return points

    seeds: list[int] = []
    for _ in range(updates):
        for _ in range(recipe.steps):
            centres = CENTRES[torch.randint(MODES, (128,), generator=random)]
            real = centres + 0.02 * torch.randn(128, 2, generator=random)
            seeds = torch.randint(2**31, (128,), generator=random).tolist()
            fake = pool.exchange(made(128).detach(), seeds)
            loss, _ = gan_loss.discriminator_loss(critic, real, fake, seeds)
            discriminator_optimizer.zero_grad()
            loss.backward()
            discriminator_optimizer.step()
            if recipe.weight_clip:
                clip_weights(discriminator, recipe.weight_clip)
        generator_optimizer.zero_grad()
        gan_loss.generator_loss(critic, made(128), seeds).backward()
        generator_optimizer.step()
    with torch.no_grad():
        nearest, mode = torch.cdist(made(2000), CENTRES).min(1)
    counts = torch.bincount(mode[nearest < 0.15], minlength=MODES)
    return int((counts >= 20).sum())


PLAIN: dict[str, Any] = {"loss": "bce", "instance_noise": 0.0, "learning_rate": 1e-3}


def test_without_a_remedy_the_ring_collapses() -> None:
    assert modes_covered(AdversarialRecipe(**PLAIN), 500) <= 2


@pytest.mark.parametrize(
    ("remedy", "updates"),
    [
        pytest.param(
            {"loss": "wasserstein", "gradient_penalty": 1.0, "steps": 3}, 250, id="wgan-gp"
        ),
        pytest.param({"r1": 1.0}, 300, id="r1"),
        pytest.param({"learning_rate": 4e-3}, 300, id="two rates", marks=pytest.mark.slow),
        pytest.param({"steps": 3}, 300, id="discriminator steps", marks=pytest.mark.slow),
        pytest.param({"label_smoothing": 0.2}, 500, id="smoothing", marks=pytest.mark.slow),
        pytest.param({"instance_noise": 0.4}, 500, id="instance noise", marks=pytest.mark.slow),
        pytest.param({"loss": "least_squares"}, 500, id="least squares", marks=pytest.mark.slow),
        pytest.param(
            {"loss": "wasserstein", "weight_clip": 0.4, "steps": 5},
            400,
            id="weight clipping",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_with_a_remedy_the_whole_ring_is_covered(remedy: dict[str, Any], updates: int) -> None:
    assert modes_covered(AdversarialRecipe(**{**PLAIN, **remedy}), updates) == MODES


@pytest.mark.slow
def test_spectral_normalisation_covers_the_ring_with_least_squares() -> None:
    remedy = {**PLAIN, "loss": "least_squares", "learning_rate": 2e-3, "steps": 3}
    assert modes_covered(AdversarialRecipe(**remedy), 300, spectral=True) == MODES


def test_penalties_are_those_of_the_sum_of_patch_scores() -> None:
    def patches(samples: torch.Tensor) -> list[torch.Tensor]:
        return [samples.repeat_interleave(4, dim=1)]  # every value is seen by four patches

    real = torch.rand(3, 2)
    assert float(r1_penalty(patches, real)) == pytest.approx(2 * 4**2)


def test_a_lazy_penalty_is_rarer_and_as_much_heavier() -> None:
    lazy = GanLoss(AdversarialRecipe(r1=2.0, r1_every=4, instance_noise=0))
    real, fake = torch.rand(2, 2), torch.rand(2, 2)

    def critic(samples: torch.Tensor) -> list[torch.Tensor]:
        return [samples * 3]

    losses = [lazy.discriminator_loss(critic, real, fake, (1, 2), step) for step in range(5)]
    assert ["r1" in metrics for _, metrics in losses] == [True, False, False, False, True]
    plain = float(losses[1][0])
    assert float(losses[0][0]) == pytest.approx(plain + 0.5 * 2.0 * 4 * 2 * 9)


@pytest.mark.parametrize(
    ("loss", "real", "fake", "right"),
    [
        ("hinge", 0.2, -0.2, 1.0),
        ("hinge", 0.2, 0.1, 0.5),
        ("least_squares", 0.7, 0.3, 1.0),
        ("least_squares", 0.4, 0.3, 0.5),
        ("wasserstein", 9.0, 8.0, 1.0),
    ],
)
def test_right_is_counted_from_the_line_that_the_loss_draws(
    loss: str, real: float, fake: float, right: float
) -> None:
    recipe = AdversarialRecipe.model_validate({"loss": loss, "instance_noise": 0})
    scores = iter([[torch.full((2, 1, 3, 3), real)], [torch.full((2, 1, 3, 3), fake)]])
    pictures = torch.zeros(2, 3, 8, 8)
    _, metrics = GanLoss(recipe).discriminator_loss(
        lambda _: next(scores), pictures, pictures, (1, 2)
    )
    assert float(metrics["discriminator_right"]) == pytest.approx(right)
