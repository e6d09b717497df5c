"""The mask network's training: composites with the exact alpha, and what is exported of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torch", reason="torch is not installed")

import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.native_model import load_mask_model
from obs_stylizer.training.objectives import build_objective
from obs_stylizer.training.objectives.segmentation import SegmentationObjective
from obs_stylizer.training.recipe import Recipe, load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.segmentation import composites
from obs_stylizer.training.segmentation.appearance import redressed, with_hand
from obs_stylizer.training.segmentation.composites import Composites
from obs_stylizer.training.segmentation.cutouts import Cutout, surroundings
from obs_stylizer.training.segmentation.evaluation import (
    boundary_f,
    evaluate_mask,
    is_mask_recipe,
    overlap,
)
from obs_stylizer.training.segmentation.export import (
    calibration_frames,
    export_mask_run,
    trained_mask_network,
)
from obs_stylizer.training.trainer import Trainer

RECIPE = """
name: people
precision: f32
objective: segmentation
segmentation:
  people: [people]
  teacher: teacher.onnx
  sizes: [[64, 48]]
data: {content: [places], hold_out: 1}
adversarial: {weight: 0}
schedule: {steps: 2, batch: 2, log_every: 1, sample_every: 2}
"""
SIZE = FrameSize(64, 48)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder in ("people", "places"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        picture = random.integers(0, 90, (96, 96, 3), dtype=np.uint8)
        cv2.imwrite(f"places/{number}.png", picture)
        cv2.circle(picture, (48, 60), 30, (230, 240, 250), -1)
        cv2.imwrite(f"people/{number}.png", picture)
    write_teacher(tmp_path / "teacher.onnx")
    path = tmp_path / "people.yaml"
    path.write_text(RECIPE, "utf-8")
    return path


def write_teacher(path: Path) -> None:
    """A person is what is bright, at 32 by 32."""
    nodes = [
        helper.make_node("ReduceMean", ["in"], ["level"], axes=[3], keepdims=1),
        helper.make_node("Sub", ["level", "half"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["sure"]),
        helper.make_node("Sigmoid", ["sure"], ["out"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(0.6), "half"),
        numpy_helper.from_array(np.float32(60), "steep"),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 32, 32, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 32, 32, 1])],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)


def objective_of(path: Path) -> SegmentationObjective:
    made = build_objective(load_recipe(path), torch.device("cpu"))
    assert isinstance(made, SegmentationObjective)
    return made


def test_alpha_is_where_the_person_was_pasted(recipe: Path) -> None:
    objective = objective_of(recipe)
    for people in (0, 1, 2):
        for sample in objective.held_out_samples(4, SIZE, people):
            assert sample.frame.shape == (48, 64, 3)
            assert sample.alpha.shape == (48, 64)
            assert bool(sample.alpha.max() > 127) == bool(people)
    one = objective.make_batch(3, range(4))
    again = objective.make_batch(3, range(2, 4))
    assert torch.equal(one["frame"][2:], again["frame"])


def test_people_are_no_places_and_what_is_left_out_is_neither(recipe: Path) -> None:
    text = recipe.read_text("utf-8").replace("people: [people]", "people: [people, places/0.png]")
    text = text.replace("teacher:", "left_out: [places/1.png]\n  teacher:")
    recipe.write_text(text.replace("hold_out: 1", "hold_out: 0"), "utf-8")
    objective = objective_of(recipe)
    assert [path.name for path in objective.places] == ["2.png"]
    assert "places/0.png" in {str(path) for path in objective.people}


def test_a_teacher_that_is_none_is_named(recipe: Path) -> None:
    (recipe.parent / "teacher.onnx").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"teacher\.onnx"):
        objective_of(recipe).check()
    (recipe.parent / "teacher.onnx").unlink()
    with pytest.raises(TrainingError, match="there is no teacher"):
        objective_of(recipe).check()


def test_shares_of_people_add_up(recipe: Path) -> None:
    text = recipe.read_text("utf-8").replace("teacher:", "counts: [0.5, 0.5, 0.5, 0]\n  teacher:")
    recipe.write_text(text, "utf-8")
    with pytest.raises(TrainingError, match="counts must add up to 1"):
        load_recipe(recipe)


def test_a_run_is_trained_exported_and_evaluated(recipe: Path, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", recipe)
    assert Trainer(run, torch.device("cpu")).train().finished
    picture = np.random.default_rng(1).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    target = tmp_path / "people.onnx"
    frames = calibration_frames(run.recipe)[:8]
    parity = export_mask_run(run, target, [picture], frames, {"iou_exact": 0.5})
    assert max(found.largest for found in parity) <= 1
    assert target.stat().st_size <= 600_000
    model = load_mask_model(target)
    assert model.opset == 17
    assert model.spec.precision == "int8"
    assert model.spec.size_multiple == 16
    assert model.spec.recipe_hash == run.recipe.digest
    assert is_mask_recipe(target)
    assert is_mask_recipe(tmp_path / "run")
    again = RunDirectory.create(tmp_path / "again", recipe)
    trainer = Trainer(again, torch.device("cpu"))
    trainer.start_from_model(target)
    noted = json.loads((tmp_path / "again" / "run.json").read_text("utf-8"))
    assert noted["started_from"]["model"] == "people"
    masker = trainer.objective.generators["masker"].eval()
    frame = torch.from_numpy(picture[None, :48, :80]).permute(0, 3, 1, 2) / 255
    wanted = trained_mask_network(run).network(frame)
    # Weights of seven bits are all that the file has.
    assert (masker(frame) - wanted).abs().mean() < 0.1
    page, figures = evaluate_mask(target, tmp_path / "report", [], 2, 2)
    assert page.is_file()
    assert 0 <= figures["iou_exact"] <= 1
    assert 0 <= figures["marked_without_people"] <= 1
    assert isinstance(run.recipe, Recipe)


def test_nothing_is_drawn_over_people_but_what_the_alpha_knows_of(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    paste = Composites._paste

    def chair(frame: Pixels, *_: object) -> None:
        order.append("chair")
        frame[:] = 7

    def noted(self: Composites, *given: Any) -> tuple[Pixels, Any]:
        order.append("person")
        return paste(self, *given)

    monkeypatch.setattr(composites, "draw_chair", chair)
    monkeypatch.setattr(Composites, "_paste", noted)
    objective = objective_of(recipe)
    for number in range(12):
        order.clear()
        objective.held_out.draw_scene(SIZE, np.random.default_rng(number), 2)
        assert order.count("person") == 2
        assert "chair" not in order[order.index("person") :]


def test_what_stands_beside_somebody_serves_as_a_place() -> None:
    photograph = np.full((300, 400, 3), 9, np.uint8)
    alpha = np.zeros((300, 400), np.uint8)
    alpha[100:, 120:280] = photograph[100:, 120:280] = 255
    entry = Cutout(Path("x.jpg"), photograph, alpha, photograph)
    free = surroundings(entry)
    assert free is not None
    assert free.shape[:2] in ((300, 120), (100, 400))
    assert free.max() == 9
    alpha[40:] = 255
    assert surroundings(entry) is None


def test_a_hand_is_of_skin_and_in_the_alpha() -> None:
    frame = np.full((144, 256, 3), 60, np.uint8)
    alpha = np.zeros((144, 256), np.float32)
    alpha[40:, 90:160] = 1
    without, same = with_hand(frame, alpha, np.random.default_rng(0))
    assert np.array_equal(without, frame)
    assert same is alpha
    frame[40:90, 90:160] = (200, 150, 120)
    changed, more = with_hand(frame, alpha, np.random.default_rng(3))
    drawn = np.abs(changed.astype(int) - frame).max(2) > 8
    assert drawn.sum() > 50
    assert (more[drawn] > 0).all()


def test_clothes_change_and_the_face_does_not() -> None:
    picture = np.full((100, 60, 3), (180, 120, 90), np.uint8)
    dressed = redressed(picture, np.random.default_rng(1), 50, 10)
    assert np.array_equal(dressed[:40], picture[:40])
    assert not np.array_equal(dressed[60:], picture[60:])


def test_overlap_and_edges() -> None:
    one = np.zeros((40, 40), np.uint8)
    one[10:30, 10:30] = 255
    moved = np.roll(one, 1, axis=1)
    far = np.roll(one, 10, axis=1)
    assert overlap(one, one) == 1
    assert overlap(one, moved) == pytest.approx(19 / 21)
    assert overlap(np.zeros_like(one), np.zeros_like(one)) == 1
    assert boundary_f(one, moved) == 1
    assert boundary_f(one, far) < 0.7
