"""The painting objective's losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.features import FeatureNetwork, load_features
from obs_stylizer.training.losses.differentiable_augmentation import augment
from obs_stylizer.training.losses.perceptual import gram_matrix, style_distance
from obs_stylizer.training.losses.style_scales import cut, skin_mask
from obs_stylizer.training.objectives.painting import PaintingObjective
from obs_stylizer.training.pictures import scale_to_short_side
from obs_stylizer.training.recipe import RecipeError, load_recipe

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


def objective_of(recipe: Path) -> PaintingObjective:
    torch.manual_seed(0)
    return PaintingObjective(load_recipe(recipe), CPU)


def test_the_older_form_of_a_recipe_means_the_same_scales(recipe_of: RecipeWriter) -> None:
    older = recipe_of(("  style_layers", "  coarse: 0.5\n  style_layers"))
    newer = recipe_of(
        (
            "  style_layers: {conv1_1: 1, conv2_1: 1}",
            "  scales:\n"
            "    - {layers: {conv1_1: 1, conv2_1: 1}}\n"
            "    - {scale: 0.5, layers: {conv1_1: 1, conv2_1: 1}, weight: 0.5}",
        )
    )
    batch = objective_of(older).make_batch(0, range(2))
    losses = [objective_of(recipe).generator_turn(batch).loss.item() for recipe in (older, newer)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    without = objective_of(recipe_of()).generator_turn(batch).loss.item()
    assert losses[0] > without * 1.01


def test_a_style_at_half_the_size_is_compared_with_the_painting_at_half_the_size(
    recipe_of: RecipeWriter,
) -> None:
    recipe = recipe_of(
        (
            "  style_layers: {conv1_1: 1, conv2_1: 1}",
            "  scales: [{scale: 0.5, layers: {conv1_1: 1, conv2_1: 1}}]",
        )
    )
    objective = objective_of(recipe)
    batch = objective.make_batch(0, range(2))
    turn = objective.generator_turn(batch)
    network = load_features(recipe.parent / "features.npz")

    def grams(picture: NDArray[Any]) -> list[torch.Tensor]:
        layers = network(torch.from_numpy(picture).permute(2, 0, 1)[None], ("conv1_1", "conv2_1"))
        return [gram_matrix(layers[name]) for name in ("conv1_1", "conv2_1")]

    distances = []
    made = turn.fakes["made"].permute(0, 2, 3, 1).numpy()
    for picture, painting in zip(made, objective.style_pictures, strict=True):
        height, width, _ = picture.shape
        halved = picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3), dtype=np.float32)
        short = round(min(painting.shape[:2]) / 2)
        small = scale_to_short_side(painting, short).astype(np.float32) / 255
        pairs = zip(grams(halved), grams(small), strict=True)
        distances.append(sum(float(style_distance(one, other)) for one, other in pairs))
    # The objective scales the file itself, so the two differ by one more resampling.
    assert float(turn.metrics["style"]) == pytest.approx(np.mean(distances), rel=0.02)


def test_both_forms_of_scales_at_once_are_refused(recipe_of: RecipeWriter) -> None:
    both = recipe_of(("  style_layers", "  scales: [{layers: {conv1_1: 1}}]\n  style_layers"))
    with pytest.raises(RecipeError, match="leave out style_layers"):
        load_recipe(both)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        ("[{layers: {conv9_1: 1}}]", "no layer conv9_1"),
        ("[{scale: 0.1, layers: {conv2_1: 1}}]", "too few for the layer conv2_1"),
        ("[{layers: {conv2_1: 1}, crop: 16}, {scale: 0.05, layers: {conv1_1: 1}}]", "at scale"),
    ],
)
def test_a_scale_that_nothing_can_be_seen_at_is_refused(
    recipe_of: RecipeWriter, scales: str, words: str
) -> None:
    recipe = recipe_of(("  style_layers: {conv1_1: 1, conv2_1: 1}", f"  scales: {scales}"))
    with pytest.raises(TrainingError, match=words):
        objective_of(recipe)


def test_mixtures_are_compared_with_mixed_gram_matrices(recipe_of: RecipeWriter) -> None:
    objective = objective_of(recipe_of())
    assert objective.perceptual is not None
    batch = objective.make_batch(0, range(2))
    seen, seeds = batch["content"], batch["noise_seeds"]
    count = len(objective.styles)
    pure = [
        float(objective.perceptual(seen, seen, mix.expand(2, -1), seeds)["style"])
        for mix in torch.eye(count)
    ]
    even = torch.full((2, count), 1 / count)
    mixed = float(objective.perceptual(seen, seen, even, seeds)["style"])
    assert 0 < mixed < max(pure) * 1.01


def test_a_share_of_samples_is_in_mixtures(recipe_of: RecipeWriter) -> None:
    objective = objective_of(recipe_of(("  style_layers", "  mixes: 0.5\n  style_layers")))
    rows = torch.cat([objective.make_batch(step, range(2))["style"] for step in range(40)])
    assert torch.allclose(rows.sum(1), torch.ones(len(rows)))
    share = float((rows.amax(1) < 0.999).float().mean())
    # Half of them ask for a mixture, and some draw the same style twice.
    assert 0.1 < share < 0.7


def test_known_motion_is_looked_at_as_often_as_the_recipe_says(recipe_of: RecipeWriter) -> None:
    objective = objective_of(recipe_of(("temporal: {", "temporal: {every: 3, ")))
    looked = ["motion" in objective.make_batch(step, range(2)) for step in range(7)]
    assert looked == [True, False, False, True, False, False, True]


def test_content_counts_more_on_skin() -> None:
    skin, grass = (224.0, 172.0, 138.0), (60.0, 150.0, 40.0)
    picture = torch.tensor([skin, grass]).T.reshape(1, 3, 1, 2) / 255
    assert skin_mask(picture).flatten().tolist() == [1, 0]
    dark = torch.tensor([92.0, 58.0, 42.0]).view(1, 3, 1, 1) / 255
    assert skin_mask(dark).item() == 1


def test_a_crop_is_cut_where_its_seed_says() -> None:
    picture = torch.arange(64.0).view(1, 1, 8, 8).expand(2, 3, 8, 8)
    first, second = cut(picture, 4, (0, 3))
    assert first[0, 0, 0] == 0
    assert second[0, 0, 0] == 3 * 8
    assert cut(picture, None, (0, 0)) is picture
    assert cut(picture, 16, (0, 0)) is picture


def test_augmentation_is_repeatable_and_lets_gradients_through() -> None:
    pictures = torch.rand(3, 3, 32, 40, requires_grad=True)
    made = augment(pictures, (1, 2, 3))
    assert made.shape == pictures.shape
    assert torch.equal(made, augment(pictures, (1, 2, 3)))
    assert not torch.equal(made, augment(pictures, (1, 2, 4)))
    made.sum().backward()
    assert pictures.grad is not None
    touched = (pictures.grad != 0).float().mean()
    assert touched > 0.4
    assert not torch.equal(made, pictures)


def test_the_network_of_the_losses_can_be_found_to_be_compiled(recipe_of: RecipeWriter) -> None:
    objective = objective_of(recipe_of())
    assert isinstance(objective.features, FeatureNetwork)
    alone = recipe_of(("  style_layers", "  style_weight: 0\n  content_weight: 0\n  style_layers"))
    assert objective_of(alone).features is None
