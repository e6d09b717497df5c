"""A training tried out: data are checked, and a few updates tell what the whole will take."""

from __future__ import annotations

from typing import Final

import psutil
import torch
from torch import nn

from obs_stylizer.training.trainer import Trainer

_UPDATES: Final = 3


def dry_run(trainer: Trainer) -> list[str]:
    """Check the data, do a few updates, and return lines that describe the training.

    The networks are changed by the updates; the trainer is of no use afterwards.

    Raises:
        TrainingError: the data cannot be used.
    """
    schedule, objective = trainer.recipe.schedule, trainer.objective
    lines = objective.check()
    outcome = trainer.train(until=_UPDATES)
    seconds = outcome.seconds / outcome.step
    hours = schedule.steps * seconds / 3600
    if schedule.minutes is not None:
        hours = min(hours, schedule.minutes / 60)
    return [
        *lines,
        f"networks: {_weight_count(objective.generators) / 1e6:.2f} million weights in "
        f"generators, {_weight_count(objective.discriminators) / 1e6:.2f} million in "
        "discriminators",
        f"an update: {schedule.batch} samples of {trainer.recipe.data.crop} pixels, "
        f"{seconds:.2f} s on {trainer.device} in {trainer.precision.name}",
        f"memory: {_memory_in_use(trainer.device) / 1e9:.2f} GB",
        f"the whole: {schedule.steps} updates at most, {hours:.2f} hours at this speed",
    ]


def _weight_count(networks: nn.Module) -> int:
    return sum(parameter.numel() for parameter in networks.parameters())


def _memory_in_use(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return int(psutil.Process().memory_info().rss)
