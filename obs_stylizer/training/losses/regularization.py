"""Regularization of adversarial training: penalties on gradients, bounds on weights.

Spectral normalisation is a property of a discriminator and is found there; label smoothing is
part of :mod:`~obs_stylizer.training.losses.adversarial`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Sequence[Tensor]]
"""Gives scores of samples (B, ...): one tensor (B, ...) for each scale it looks at."""


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Return the mean of (|gradient| - 1)² between real and made samples, a scalar.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs". The gradient is that of the
    sum of a sample's scores, as it is published for patches: that of their mean would be weaker
    by the square of their number. With several scales the penalties are averaged.

    Args:
        critic: the discriminator.
        real: samples, float (B, ...).
        fake: made samples, the same shape.
        share: how much of each mixed sample is real, 0 to 1, (B,).
    """
    share = share.view(-1, *[1] * (real.ndim - 1)).to(real)
    mixed = torch.lerp(fake.detach().float(), real.detach().float(), share)
    norms = [gradient.norm(dim=1) for gradient in _score_gradients(critic, mixed)]
    return torch.stack([(norm - 1.0).square().mean() for norm in norms]).mean()


def r1_penalty(critic: Critic, real: Tensor) -> Tensor:
    """Return the mean squared norm of the gradient at real samples, a scalar.

    Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?"; the loss
    takes half of gamma times this.

    Args:
        critic: the discriminator.
        real: samples, float (B, ...).
    """
    gradients = _score_gradients(critic, real.detach().float())
    return torch.stack([gradient.square().sum(1).mean() for gradient in gradients]).mean()


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Bring every weight of ``network`` into -limit to limit (Arjovsky et al. 2017)."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


def _score_gradients(critic: Critic, samples: Tensor) -> list[Tensor]:
    """Return the gradient (B, N) of the sum of each sample's scores, for every scale.

    In float32, whatever the training computes in: these gradients are small, and the penalty is
    differentiated once more.
    """
    samples = samples.requires_grad_(True)
    with torch.autocast(samples.device.type, enabled=False):
        totals = [score.float().sum() for score in critic(samples)]
        return [
            torch.autograd.grad(total, samples, create_graph=True)[0].flatten(1) for total in totals
        ]
