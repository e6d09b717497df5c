"""Muon, the optimizer of convolutions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from obs_stylizer.training.muon import Muon, orthogonalize
from obs_stylizer.training.recipe import load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_singular_values_come_near_to_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(shape, generator=generator) * torch.logspace(-1, 1, shape[1])
    made = orthogonalize(matrix)
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    assert values.max() < 1.3
    assert values.median() > 0.6
    assert torch.sum(made * matrix) > 0, "a step the same way"


def test_a_step_is_as_large_as_adams() -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(16, 32, 3)
    before = convolution.weight.detach().clone()
    convolution.weight.grad = torch.randn_like(convolution.weight)
    convolution.bias.grad = torch.full_like(convolution.bias, -3.0)  # type: ignore[union-attr, arg-type]
    bias = convolution.bias.detach().clone()  # type: ignore[union-attr]
    Muon(convolution.parameters(), 0.01).step()
    step = (convolution.weight.detach() - before).square().mean().sqrt()
    assert 0.1 <= float(step) / 0.01 <= 0.3
    torch.testing.assert_close(convolution.bias.detach() - bias, torch.full((32,), 0.01))


def test_a_run_goes_on_with_its_momentum(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    recipe = recipe_of(("steps: 12", "optimizer: muon, steps: 3"))
    run = RunDirectory.create(tmp_path / "run", recipe)
    whole = Trainer(run, CPU)
    whole.train()
    again = Trainer(RunDirectory.open(tmp_path / "run"), CPU)
    again.resume()
    assert isinstance(again.generator_optimizer, Muon)
    kept, taken = whole.generator_optimizer.state_dict(), again.generator_optimizer.state_dict()
    torch.testing.assert_close(taken["state"], kept["state"])


def test_the_default_changes_no_older_recipes_digest(recipe_of: RecipeWriter) -> None:
    plain = load_recipe(recipe_of())
    named = load_recipe(recipe_of(("steps: 12", "optimizer: adam, steps: 12")))
    other = load_recipe(recipe_of(("steps: 12", "optimizer: muon, steps: 12")))
    longer = load_recipe(recipe_of(("steps: 12", "minutes: 3, steps: 12")))
    assert plain.digest == named.digest == longer.digest != other.digest
