"""Styles carried to a generator that knows others too."""

from __future__ import annotations

import pytest
import torch

from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.warm_start import carry_styles

pytestmark = pytest.mark.training


def test_known_styles_keep_their_pictures_and_new_ones_begin_as_the_mean() -> None:
    torch.manual_seed(0)
    small, large = FastGenerator(8, 1, 2), FastGenerator(8, 1, 3)
    for module in small.modules():
        if hasattr(module, "styles") and hasattr(module, "weight"):
            torch.nn.init.normal_(module.weight, 1, 0.2)
    carried = carry_styles(small.state_dict(), large.state_dict(), ("a", "b"), ("b", "new", "a"))
    large.load_state_dict(carried)
    frame = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        for old, new in (([1.0, 0], [0, 0, 1.0]), ([0, 1.0], [1.0, 0, 0])):
            before = small(frame, torch.tensor([old]))
            assert torch.allclose(before, large(frame, torch.tensor([new])), atol=1e-5)
        mean = small(frame, torch.tensor([[0.5, 0.5]]))
        assert torch.allclose(mean, large(frame, torch.tensor([[0.0, 1, 0]])), atol=1e-5)


def test_same_styles_are_left_alone() -> None:
    weights = {"norm.weight": torch.rand(2, 4)}
    carried = carry_styles(weights, weights, ("a", "b"), ("a", "b"))
    assert carried["norm.weight"] is weights["norm.weight"]


def test_layers_that_happen_to_be_as_many_as_styles_are_left_alone() -> None:
    saved, wanted = {"layer": torch.rand(2, 4)}, {"layer": torch.rand(2, 4)}
    carried = carry_styles(saved, wanted, ("a", "b"), ("a", "b", "c"))
    assert carried["layer"].shape == (2, 4)
