"""The painting objective's losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from obs_stylizer.training.features import load_features
from obs_stylizer.training.losses.perceptual import gram_matrix, style_distance
from obs_stylizer.training.objectives.painting import PaintingObjective
from obs_stylizer.training.recipe import load_recipe

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


def objective_of(recipe: Path) -> PaintingObjective:
    torch.manual_seed(0)
    return PaintingObjective(load_recipe(recipe), CPU)


def test_the_coarse_style_is_that_of_pictures_half_as_large(recipe_of: RecipeWriter) -> None:
    plain = objective_of(recipe_of())
    batch = plain.make_batch(0, range(2))
    without = plain.generator_turn(batch)
    recipe = recipe_of(("  style_layers", "  coarse: 0.5\n  style_layers"))
    turn = objective_of(recipe).generator_turn(batch)

    network = load_features(recipe.parent / "features.npz")

    def grams(picture: NDArray[Any]) -> list[torch.Tensor]:
        height, width, _ = picture.shape
        halved = picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3), dtype=np.float32)
        layers = network(torch.from_numpy(halved).permute(2, 0, 1)[None], ("conv1_1", "conv2_1"))
        return [gram_matrix(layers[name]) for name in ("conv1_1", "conv2_1")]

    made = turn.fakes["made"].permute(0, 2, 3, 1).numpy()
    distances = []
    for picture, painting in zip(made, plain.style_pictures, strict=True):
        pairs = zip(grams(picture), grams(painting / 255), strict=True)
        distances.append(sum(float(style_distance(one, other)) for one, other in pairs))
    assert float(turn.metrics["coarse"]) == pytest.approx(np.mean(distances), rel=1e-4)
    assert turn.loss.item() == pytest.approx(
        without.loss.item() + 0.5 * float(turn.metrics["coarse"]), rel=1e-5
    )
    assert float(turn.metrics["coarse"]) != pytest.approx(float(turn.metrics["style"]), rel=1e-4)
