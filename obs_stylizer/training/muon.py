"""Muon: steps along orthogonalized momentum, for the convolutions of a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_STEEP, _FLAT, _BENT = 3.4445, -4.7750, 2.0315
"""Of Jordan's quintic polynomial, which takes every singular value near to 1 in five rounds."""
_ROUNDS = 5
_LIKE_ADAM = 0.2
"""Root mean square of the entries of an Adam step, in learning rates (Liu et al. 2025)."""
_LEAST_SIDE = 8
_TINY = 1e-8


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is made orthogonal before it is followed; Adam for all else.

    The weights of a convolution are taken as a matrix of outputs by all else, and its momentum's
    singular values are all set to about 1, so that rare directions are learnt as quickly as
    frequent ones (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").
    Steps are scaled to the size of Adam's (Liu et al. 2025, "Muon is Scalable for LLM Training"),
    so both go by one learning rate. Norms, biases and the rows of styles, which are no matrices,
    and convolutions with fewer than eight outputs follow Adam (Kingma and Ba 2015).

    torch's own Muon takes matrices only.

    Args:
        parameters: to train.
        rate: learning rate, above 0.
        betas: shares that the first and the second moment keep in a step of Adam.
        momentum: share that Muon's momentum keeps in a step.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rate: float,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": rate, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step; ``closure``, if given, computes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if _is_matrix(parameter):
                    _follow_muon(parameter, state, group)
                else:
                    _follow_adam(parameter, state, group)
        return loss


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return float (M, N) with the singular vectors of ``matrix`` and singular values near 1.

    Five rounds of a Newton-Schulz iteration: values end between about 0.7 and 1.2.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + _TINY)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = _STEEP * x + (_FLAT * square + _BENT * square @ square) @ x
    made: Tensor = x.T if tall else x
    return made


def _is_matrix(parameter: Tensor) -> bool:
    if parameter.ndim != 4:
        return False
    return min(parameter.shape[0], parameter[0].numel()) >= _LEAST_SIDE


def _follow_muon(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    gradient, momentum = parameter.grad, group["momentum"]
    assert gradient is not None
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    state["momentum"].lerp_(gradient, 1 - momentum)
    # Nesterov's look ahead.
    ahead = gradient.lerp(state["momentum"], momentum).flatten(1).float()
    made = orthogonalize(ahead) * (_LIKE_ADAM * max(ahead.shape) ** 0.5)
    parameter.add_(made.to(parameter.dtype).view_as(parameter), alpha=-group["lr"])


def _follow_adam(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    gradient, (first, second) = parameter.grad, group["betas"]
    assert gradient is not None
    if not state:
        state["step"] = 0
        state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(gradient.square(), 1 - second)
    mean = state["mean"] / (1 - first ** state["step"])
    square = state["square"] / (1 - second ** state["step"])
    parameter.addcdiv_(mean, square.sqrt_().add_(_TINY), value=-group["lr"])
