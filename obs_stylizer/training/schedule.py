"""How far a training has come, and the learning rate there."""

from __future__ import annotations

import math

from obs_stylizer.training.recipe import ScheduleRecipe


def progress_of(schedule: ScheduleRecipe, step: int, elapsed: float) -> float:
    """Return the share of the training that is done, 0 to 1.

    Args:
        schedule: of the recipe.
        step: updates done.
        elapsed: seconds trained, over all sittings.
    """
    done = step / schedule.steps
    if schedule.minutes is not None:
        done = max(done, elapsed / (60 * schedule.minutes))
    return min(done, 1.0)


def rate_factor(schedule: ScheduleRecipe, step: int, progress: float) -> float:
    """Return what the learning rates are multiplied with in the update after ``step``."""
    factor = 1.0
    if schedule.decay == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * progress))
    elif schedule.decay == "linear":
        # Constant for the first half, as CycleGAN and pix2pix do.
        factor = min(1.0, 2 * (1 - progress))
    if schedule.warm_up:
        factor *= min(1.0, (step + 1) / schedule.warm_up)
    return factor
