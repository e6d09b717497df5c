"""What a training would do and cost, found by doing a few updates of it."""

from __future__ import annotations

import psutil
import torch

from obs_stylizer.training.trainer import Trainer

UPDATES = 3


def measure_plan(trainer: Trainer) -> list[str]:
    """Check the data, do a few updates, and return lines that describe the training.

    The networks of ``trainer`` are changed by the updates; it is of no use afterwards.

    Raises:
        TrainingError: the data cannot be used.
    """
    recipe, schedule = trainer.recipe, trainer.recipe.schedule
    lines = trainer.objective.check()
    outcome = trainer.train(until=UPDATES)
    seconds = outcome.seconds / outcome.step
    hours = schedule.steps * seconds / 3600
    if schedule.minutes is not None:
        hours = min(hours, schedule.minutes / 60)
    made = sum(p.numel() for p in trainer.objective.generators.parameters())
    evaluated = sum(p.numel() for p in trainer.objective.discriminators.parameters())
    return [
        *lines,
        f"networks: {made / 1e6:.2f} million weights in generators, "
        f"{evaluated / 1e6:.2f} million in discriminators",
        f"an update: {schedule.batch} samples of {recipe.data.crop} pixels, {seconds:.2f} s "
        f"on {trainer.device} in {trainer.precision.name}",
        f"memory: {_memory(trainer.device) / 1e9:.2f} GB",
        f"the whole: {schedule.steps} updates at most, {hours:.2f} hours at this speed",
    ]


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return int(psutil.Process().memory_info().rss)
