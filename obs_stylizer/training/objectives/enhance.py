"""The enhance objective: undo what a cheap camera does to a picture."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.degradations import degrade
from obs_stylizer.training.objective_recipes import EnhanceRecipe
from obs_stylizer.training.objectives.translation import TranslationObjective
from obs_stylizer.training.pictures import fit_frame, read_picture
from obs_stylizer.training.recipe import Recipe


class EnhanceObjective(TranslationObjective):
    """Trains a generator to give back the picture before its degradations.

    Raises:
        TrainingError: the content cannot be used.
    """

    def __init__(self, recipe: Recipe, device: torch.device, features: Path | None = None) -> None:
        if recipe.enhance is None:
            raise TrainingError(f"the recipe {recipe.name} has no section enhance")
        super().__init__(recipe, recipe.enhance, device, features)
        self.degradations: EnhanceRecipe = recipe.enhance

    def draw_pair(self, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Return a degraded crop and the crop."""
        target = self.content.crop(self.recipe.data, random)
        return degrade(target, random, self.degradations), target

    def whole_pair(self, path: Path, size: FrameSize) -> tuple[Pixels, Pixels]:
        """Return the picture at ``path`` degraded and as it is; see the base class."""
        target = fit_frame(read_picture(path), size)
        random = np.random.default_rng(zlib.crc32(path.name.encode()))
        return degrade(target, random, self.degradations), target
