"""A smaller generator of several styles that learns from a larger one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.export import export_run
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RecipeWriter, scene

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("small_frames")]

CPU = torch.device("cpu")


def start(folder: Path, recipe: Path) -> Trainer:
    return Trainer(RunDirectory.create(folder, recipe), CPU)


def test_a_pupil_learns_every_style_of_its_teacher(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    start(tmp_path / "large", recipe_of(("steps: 12", "steps: 3"))).train()
    large = RunDirectory.open(tmp_path / "large")
    model = tmp_path / "large.onnx"
    export_run(large, model, [scene(0, 200, 300)])
    pupil = recipe_of(
        ("  style_layers", f'  teacher_model: "{model}"\n  imitation: 2\n  style_layers'),
        ("  content_layers", "  style_weight: 0\n  content_weight: 0\n  content_layers"),
        ("channels: 8, blocks: 1", "channels: 6, blocks: 1"),
        ("temporal: {weight: 1, shift: 2}", "temporal: {weight: 0}\nadversarial: {weight: 0}"),
        ("steps: 12, batch: 2", "steps: 120, learning_rate: 0.01, batch: 4"),
        # The losses that would need it are all off.
        ("features.npz", "absent.npz"),
    )
    trainer = start(tmp_path / "small", pupil)
    teacher = Trainer(large, CPU)
    teacher.resume()
    batch = trainer.objective.make_batch(0, range(4))
    with torch.no_grad():
        wanted = teacher.average.network["painter"](batch["content"], batch["style"])
        before = float(trainer.objective.generator_turn(batch).metrics["imitation"])
    # At its border an exported generator repeats what is inside.
    inside = (..., slice(4, -4), slice(4, -4))
    assert float((batch["wanted"][inside] - wanted[inside]).abs().max()) <= 2 / 255
    assert float((wanted[0] - wanted[1]).abs().mean()) > 0.01
    trainer.train()
    with torch.no_grad():
        after = float(trainer.objective.generator_turn(batch).metrics["imitation"])
    assert after < before / 2


def test_a_teacher_without_the_styles_is_refused(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    start(tmp_path / "large", recipe_of(("steps: 12", "steps: 1"))).train()
    model = tmp_path / "large.onnx"
    export_run(RunDirectory.open(tmp_path / "large"), model, [scene(0, 200, 300)])
    pupil = recipe_of(
        ("  style_layers", f'  teacher_model: "{model}"\n  style_layers'), ("rings:", "waves:")
    )
    with pytest.raises(TrainingError, match=r"large\.onnx has no style waves.*stripes, rings"):
        start(tmp_path / "small", pupil)
