"""What happens between a gradient and the weights, on numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from obs_stylizer.training.distributed import World
from obs_stylizer.training.optimization import MovingAverage, Precision, progress_of, rate_factor
from obs_stylizer.training.recipe import ScheduleRecipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RecipeWriter

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        ("cosine", [1.0, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.0]),
        ("linear", [1.0, 1.0, 1.0, 0.0]),
        ("none", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_schedules_of_the_learning_rate(decay: str, expected: list[float]) -> None:
    schedule = ScheduleRecipe.model_validate({"steps": 100, "warm_up": 0, "decay": decay})
    found = [rate_factor(schedule, round(100 * done), done) for done in (0.0, 0.25, 0.5, 1.0)]
    assert found == pytest.approx(expected)
    if decay == "linear":
        assert rate_factor(schedule, 75, 0.75) == pytest.approx(0.5)


def test_the_rate_warms_up() -> None:
    schedule = ScheduleRecipe(steps=100, warm_up=4, decay="none")
    found = [rate_factor(schedule, step, 0.0) for step in range(5)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_a_budget_ends_the_schedule_early() -> None:
    schedule = ScheduleRecipe(steps=100, minutes=2)
    assert progress_of(schedule, 10, elapsed=12) == pytest.approx(0.1)
    assert progress_of(schedule, 10, elapsed=60) == pytest.approx(0.5)
    assert progress_of(schedule, 10, elapsed=500) == 1


def test_the_moving_average_by_hand() -> None:
    source = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False)})
    weight = source["a"].weight
    assert isinstance(weight, nn.Parameter)
    nn.init.constant_(weight, 0.0)
    average = MovingAverage(source, keep=0.5)
    kept = average.network["a"].weight
    nn.init.constant_(weight, 1.0)
    # The first updates keep less than they are asked to: 1/10, 2/11, 3/12 …
    average.update(source, 1)
    assert float(kept) == pytest.approx(0.9)
    average.update(source, 2)
    assert float(kept) == pytest.approx(1 - 0.1 * 2 / 11)
    nn.init.constant_(weight, 3.0)
    before = float(kept)
    average.update(source, 1000)
    assert float(kept) == pytest.approx(0.5 * before + 1.5)
    assert not average.network.training
    assert not kept.requires_grad


def test_the_moving_average_is_steadier_than_the_weights() -> None:
    torch.manual_seed(0)
    source = nn.ModuleDict({"a": nn.Linear(1, 1)})
    average = MovingAverage(source, keep=0.95)
    seen: list[tuple[float, float]] = []
    for step in range(1, 300):
        with torch.no_grad():
            source["a"].weight.copy_(torch.randn(1, 1) + 2)
        average.update(source, step)
        seen.append((float(source["a"].weight.detach()), float(average.network["a"].weight)))
    weights, averages = torch.tensor(seen[100:]).T
    # The variance of such an average is (1 - keep) / (1 + keep) of the weights'.
    assert float(averages.var() / weights.var()) == pytest.approx(0.05 / 1.95, rel=0.6)
    assert float(averages.mean()) == pytest.approx(2, abs=0.15)


def test_gradients_are_clipped_to_the_norm_of_the_recipe(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    recipe = recipe_of(("steps: 12", "clip_gradient: 0.5, steps: 12"))
    trainer = Trainer(RunDirectory.create(tmp_path / "run", recipe), CPU)
    parameters = list(trainer.objective.generators.parameters())
    for clip, expected in ((0.5, 0.5), (0.0, 20.0)):
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        gradient = parameters[0].grad
        assert gradient is not None
        gradient.view(-1)[:4] = 10.0  # of norm 20
        assert trainer._descend(trainer.generator_optimizer, 0.0, clip) == pytest.approx(20)
        norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
        assert float(norm) == pytest.approx(expected, rel=1e-4)


def test_half_precision_scales_its_gradients_and_skips_those_that_overflow() -> None:
    precision = Precision("f16", CPU)
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scale = precision.state_dict()["scale"]
    precision.backward((weight * 1e-3).sum())
    assert float(weight.grad) == pytest.approx(scale * 1e-3)  # type: ignore[arg-type]
    precision.unscale(optimizer)
    assert float(weight.grad) == pytest.approx(1e-3)  # type: ignore[arg-type]
    precision.step(optimizer)
    assert float(weight.detach()) == pytest.approx(1 - 1e-3)

    optimizer.zero_grad()
    precision.backward((weight * float("inf")).sum())
    precision.unscale(optimizer)
    precision.step(optimizer)
    assert float(weight.detach()) == pytest.approx(1 - 1e-3)
    assert precision.state_dict()["scale"] == scale / 2


@pytest.mark.parametrize("adversarial", ["weight: 0", "steps: 3"])
def test_half_precision_goes_on_without_a_discriminator_and_with_many_steps_of_it(
    adversarial: str, recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    recipe = recipe_of(
        ("precision: f32", f"precision: f16\nadversarial: {{{adversarial}}}"),
        ("steps: 12", "steps: 3"),
    )
    trainer = Trainer(RunDirectory.create(tmp_path / "run", recipe), CPU)
    assert (trainer.discriminator_optimizer is None) == (adversarial == "weight: 0")
    assert trainer.train().finished


@dataclass(frozen=True)
class WithAnOverflow(World):
    """Another process's gradients, which have overflowed, come in with ours."""

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.view(-1)[0] = float("inf")
                return


def test_what_overflows_in_one_process_is_skipped_by_all(
    recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    recipe = recipe_of(("precision: f32", "precision: f16"), ("steps: 12", "steps: 1"))
    run = RunDirectory.create(tmp_path / "run", recipe)
    trainer = Trainer(run, CPU, WithAnOverflow())
    scale = 2.0**16
    before = [p.detach().clone() for p in trainer.objective.generators.parameters()]
    assert trainer.train().finished
    after = list(trainer.objective.generators.parameters())
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    # Once for the generator and once for the discriminator.
    assert trainer.precision.state_dict()["scale"] == scale / 4


@pytest.mark.parametrize("name", ["bf16", "f16"])
def test_a_run_in_half_precision_computes_in_it_and_learns(
    name: str, recipe_of: RecipeWriter, tmp_path: Path
) -> None:
    recipe = recipe_of(
        ("precision: f32", f"precision: {name}"),
        ("steps: 12, batch: 2", "steps: 30, batch: 2, learning_rate: 0.003"),
    )
    trainer = Trainer(RunDirectory.create(tmp_path / "run", recipe), CPU)
    batch = trainer.objective.make_batch(10**6, range(4))
    with torch.no_grad(), trainer.precision.autocast():
        before = trainer.objective.generator_turn(batch).metrics
        made = trainer.objective.generators["painter"](batch["content"], batch["style"])
    assert made.dtype in (torch.bfloat16, torch.float16)
    assert trainer.train().finished
    with torch.no_grad(), trainer.precision.autocast():
        after = trainer.objective.generator_turn(batch).metrics
    assert float(after["style"]) < 0.85 * float(before["style"])
    assert all(p.dtype is torch.float32 for p in trainer.objective.generators.parameters())
