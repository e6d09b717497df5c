"""The losses of a generator and of one discriminator, with their regularization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from obs_stylizer.training.augment import noise_like
from obs_stylizer.training.losses import adversarial
from obs_stylizer.training.losses.differentiable_augmentation import augment
from obs_stylizer.training.losses.regularization import Critic, gradient_penalty, r1_penalty
from obs_stylizer.training.recipe import AdversarialRecipe


class GanLoss:
    """Computes both sides' losses of a recipe.

    Args:
        recipe: which loss, and which of the remedies.
    """

    def __init__(self, recipe: AdversarialRecipe) -> None:
        self.recipe = recipe

    def generator_loss(self, critic: Critic, made: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return what the generator minimises, a scalar, not yet weighted.

        Args:
            critic: the discriminator.
            made: samples of the generator's, (B, ...).
            seeds: one for each sample's instance noise.
        """
        return self.loss_of_scores(critic(self.noisy(made, seeds, 0)))

    def loss_of_scores(self, scores: Sequence[Tensor]) -> Tensor:
        """Return what the generator minimises, a scalar, for scores of its samples by scale."""
        losses = [adversarial.generator_loss(self.recipe.loss, score) for score in scores]
        return torch.stack(losses).mean()

    def discriminator_loss(
        self, critic: Critic, real: Tensor, fake: Tensor, seeds: Sequence[int], step: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the discriminator minimises, a scalar, and metrics.

        ``discriminator_right`` among these is the share of scores on the right side of the line
        that the loss draws between real and made.

        Args:
            critic: the discriminator.
            real: samples, (B, ...).
            fake: detached samples of the generator's, the same shape.
            seeds: one for each sample, uniform integers; they decide its instance noise and
                where between real and made the gradient penalty is taken.
            step: of the training, which decides whether a lazy R1 penalty is due.
        """
        recipe = self.recipe
        real, fake = self.noisy(real, seeds, 1), self.noisy(fake.float(), seeds, 2)
        pairs = list(zip(critic(real), critic(fake), strict=True))
        loss = torch.stack(
            [
                adversarial.discriminator_loss(
                    recipe.loss, of_real, of_fake, recipe.label_smoothing
                )
                for of_real, of_fake in pairs
            ]
        ).mean()
        right = torch.stack([self._right(*pair) for pair in pairs]).mean()
        metrics = {"discriminator": loss.detach(), "discriminator_right": right.detach()}
        if recipe.gradient_penalty:
            share = torch.tensor([seed % 65536 / 65536 for seed in seeds], device=real.device)
            penalty = gradient_penalty(critic, real, fake, share)
            loss = loss + recipe.gradient_penalty * penalty
            metrics["gradient_penalty"] = penalty.detach()
        if recipe.r1 and step % recipe.r1_every == 0:
            penalty = r1_penalty(critic, real)
            loss = loss + 0.5 * recipe.r1 * recipe.r1_every * penalty
            metrics["r1"] = penalty.detach()
        return loss, metrics

    @torch.no_grad()
    def _right(self, real: Tensor, fake: Tensor) -> Tensor:
        kind = self.recipe.loss
        line: Tensor | float = 0.0
        if kind == "least_squares":
            line = (1 - self.recipe.label_smoothing) / 2
        elif kind == "wasserstein":
            # Scores of a critic have no zero: what tells real from made is the middle of both.
            line = (real.float().mean() + fake.float().mean()) / 2
        return 0.5 * ((real > line).float().mean() + (fake < line).float().mean())

    def noisy(self, samples: Tensor, seeds: Sequence[int], turn: int) -> Tensor:
        """Return ``samples`` as the discriminator sees them, changed otherwise in each turn.

        With instance noise (Sonderby et al. 2017), and augmented where the recipe asks for it.
        """
        if self.recipe.augment:
            samples = augment(samples, [seed + 3 * turn + 1 for seed in seeds])
        spread = self.recipe.instance_noise
        if not spread:
            return samples
        return samples + noise_like(samples, [seed + turn for seed in seeds]) * spread
