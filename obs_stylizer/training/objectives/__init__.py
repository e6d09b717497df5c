"""Objectives: what a training works towards, one a file, behind one interface."""

from __future__ import annotations

from pathlib import Path

import torch

from obs_stylizer.training.objectives.base import Objective
from obs_stylizer.training.objectives.enhance import EnhanceObjective
from obs_stylizer.training.objectives.generate import GenerateObjective
from obs_stylizer.training.objectives.painting import PaintingObjective
from obs_stylizer.training.objectives.paired import PairedObjective
from obs_stylizer.training.objectives.segmentation import SegmentationObjective
from obs_stylizer.training.objectives.unpaired import UnpairedObjective
from obs_stylizer.training.recipe import Recipe

__all__ = [
    "EnhanceObjective",
    "GenerateObjective",
    "Objective",
    "PaintingObjective",
    "PairedObjective",
    "SegmentationObjective",
    "UnpairedObjective",
    "build_objective",
]

_WITH_FEATURES: dict[str, type[PaintingObjective | PairedObjective | EnhanceObjective]] = {
    "painting": PaintingObjective,
    "paired": PairedObjective,
    "enhance": EnhanceObjective,
}
_WITHOUT: dict[str, type[UnpairedObjective | GenerateObjective | SegmentationObjective]] = {
    "unpaired": UnpairedObjective,
    "generate": GenerateObjective,
    "segmentation": SegmentationObjective,
}


def build_objective(
    recipe: Recipe, device: torch.device, features: Path | None = None
) -> Objective:
    """Make the objective that ``recipe`` names, with its networks on ``device``.

    Args:
        recipe: the whole recipe.
        device: for the networks.
        features: file of weights for perceptual losses, instead of the recipe's.

    Raises:
        TrainingError: its data cannot be used.
    """
    if recipe.objective in _WITH_FEATURES:
        return _WITH_FEATURES[recipe.objective](recipe, device, features)
    return _WITHOUT[recipe.objective](recipe, device)
