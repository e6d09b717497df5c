"""Styles carried to a generator that knows others too."""

from __future__ import annotations

import pytest
import torch

from obs_stylizer.training.generators.fast import FastGenerator
from obs_stylizer.training.warm_start import carry_styles, widened

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


class Narrow(torch.nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(
            torch.nn.Conv2d(3, channels, 3),
            torch.nn.BatchNorm2d(channels),
            torch.nn.ReLU(),
            torch.nn.Conv2d(channels, 2, 1),
        )


def test_a_wider_network_begins_with_what_the_narrower_one_did() -> None:
    torch.manual_seed(0)
    narrow, wide = Narrow(4), Narrow(6)
    frame = torch.rand(1, 3, 8, 8)
    narrow(frame)
    wide.load_state_dict(widened(narrow.state_dict(), wide.state_dict()))
    assert torch.allclose(narrow.eval()(frame), wide.eval()(frame), atol=1e-6)
    assert wide[0].weight[4:].abs().sum() > 0


def test_a_narrower_network_takes_no_weights_of_a_wider_one() -> None:
    narrow, wide = Narrow(4), Narrow(6)
    with pytest.raises(RuntimeError):
        narrow.load_state_dict(widened(wide.state_dict(), narrow.state_dict()))
