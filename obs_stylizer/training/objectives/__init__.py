"""Objectives: what a training works towards, one a file, behind one interface."""

from __future__ import annotations

import torch

from obs_stylizer.training.objectives.base import Objective
from obs_stylizer.training.objectives.enhance import EnhanceObjective
from obs_stylizer.training.objectives.painting import PaintingObjective
from obs_stylizer.training.objectives.paired import PairedObjective
from obs_stylizer.training.objectives.unpaired import UnpairedObjective
from obs_stylizer.training.recipe import Recipe

__all__ = [
    "EnhanceObjective",
    "Objective",
    "PaintingObjective",
    "PairedObjective",
    "UnpairedObjective",
    "build_objective",
]

_OBJECTIVES: dict[str, type[Objective]] = {
    "painting": PaintingObjective,
    "paired": PairedObjective,
    "enhance": EnhanceObjective,
    "unpaired": UnpairedObjective,
}


def build_objective(recipe: Recipe, device: torch.device) -> Objective:
    """Make the objective that ``recipe`` names, with its networks on ``device``.

    Raises:
        TrainingError: its data cannot be used.
    """
    return _OBJECTIVES[recipe.objective](recipe, device)
