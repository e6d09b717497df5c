"""Networks laid out and compiled for the device they run on."""

from __future__ import annotations

import logging
from typing import Literal

import torch
from torch import nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.objectives.base import Objective

logger = logging.getLogger(__name__)

Choice = Literal["auto"] | bool


def compile_networks(objective: Objective, choice: Choice, device: torch.device) -> bool:
    """Compile the generators and feature networks of ``objective`` in place.

    Discriminators are left alone: gradient penalties need second derivatives, which compiled
    networks do not give.

    Args:
        objective: whose networks; their weights and the names of these stay what they are.
        choice: True, False, or ``auto``: on a GPU where it can be done.
        device: that the networks are on.

    Returns:
        Whether they will be compiled, when they first run.

    Raises:
        TrainingError: ``choice`` is True, and nothing can be compiled here.
    """
    if choice is False or (choice == "auto" and device.type == "cpu"):
        return False
    reason = _why_not(device)
    if reason:
        if choice is True:
            raise TrainingError(
                f"torch.compile does not work here: {reason}",
                "install a C++ compiler, or set compile to no",
            )
        logger.info("nothing is compiled: %s", reason)
        return False
    fixed = getattr(objective, "features", None)
    for network in (*objective.generators.values(), fixed):
        # The heads of a contrastive loss are a list, which has nothing to compile.
        if isinstance(network, nn.Module) and not isinstance(network, nn.ModuleList):
            network.compile()
    return True


def lay_out(objective: Objective, device: torch.device) -> None:
    """Put the weights of ``objective`` into the order that ``device`` is quickest with.

    On a GPU that is channels-last, which its tensor cores want (from documentation, not run by
    us). On a CPU a generator took a tenth to a fifth longer with it.
    """
    if device.type == "cuda":
        for network in (objective.generators, objective.discriminators):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _why_not(device: torch.device) -> str:
    """Return why nothing can be compiled for ``device``; empty where it can."""
    try:
        torch.compile(lambda values: values * 2 + 1)(torch.zeros(8, device=device))
    except Exception as cause:
        # Whatever a compiler, its absence or a driver answers, the networks run without it.
        return (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return ""
