"""The objectives with known targets: what they learn, and where targets come from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from obs_stylizer.errors import ModelError, TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import spec_of
from obs_stylizer.training import filters
from obs_stylizer.training.datasets import sample_random
from obs_stylizer.training.degradations import compress, degrade, downscale
from obs_stylizer.training.dry_run import dry_run
from obs_stylizer.training.evaluation import evaluate_pairs
from obs_stylizer.training.export import export_run
from obs_stylizer.training.features import load_features
from obs_stylizer.training.losses.matching import feature_matching
from obs_stylizer.training.objective_recipes import EnhanceRecipe
from obs_stylizer.training.objectives.translation import TranslationObjective
from obs_stylizer.training.recipe import RecipeError, load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.run_evaluation import evaluate_model, evaluate_run
from obs_stylizer.training.teachers import FILTERS
from obs_stylizer.training.trainer import Trainer

from .conftest import LAYERS, make_content, scene, write_features, write_picture

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("small_frames")]

CPU = torch.device("cpu")

PAIRED = """
name: tiny-ink
seed: 3
precision: f32
objective: paired
paired: {{teacher: ink, l1: 1, feature_matching: 0.1}}
data: {{content: ["{folder}/content"], hold_out: 1, crop: 32, short_side: [48, 80]}}
generator: {{kind: unet, channels: 8, depth: 2, normalise: no}}
discriminator: {{channels: [8, 8]}}
adversarial: {{weight: 0.01, pool: 4}}
temporal: {{weight: 0.1, shift: 2}}
schedule: {{steps: 80, batch: 4, warm_up: 5, learning_rate: 0.004, moving_average: 0.9}}
"""
ENHANCE = """
name: tiny-clean
seed: 3
precision: f32
objective: enhance
enhance: {{share: 1, downscale: [1, 1], blur: [0, 0], light: [0.4, 0.6], noise: [0.05, 0.1]}}
data: {{content: ["{folder}/content"], hold_out: 1, crop: 32, short_side: [48, 80]}}
generator: {{kind: fast, channels: 16, blocks: 1, normalise: no, correction: yes}}
discriminator: {{kind: multi_scale, channels: [8]}}
adversarial: {{weight: 0.01}}
temporal: {{weight: 0.1, shift: 2}}
schedule: {{steps: 120, batch: 4, warm_up: 5, learning_rate: 0.004, moving_average: 0.9}}
"""


def start(folder: Path, text: str, name: str = "run") -> Trainer:
    recipe = folder / f"{name}.yaml"
    recipe.write_text(text.format(folder=make_content(folder)), encoding="utf-8")
    return Trainer(RunDirectory.create(folder / name, recipe), CPU)


def mean_psnr(trainer: Trainer) -> dict[str, float]:
    """PSNR of held-out sources and outputs, before and after."""
    objective = trainer.objective
    assert isinstance(objective, TranslationObjective)
    size, found = FrameSize(80, 80), {"before": 0.0, "after": 0.0}
    for path in objective.content.held_out:
        source, target = (
            torch.from_numpy(picture).movedim(-1, 0)[None] / 255
            for picture in objective.whole_pair(path, size)
        )
        with torch.no_grad():
            made = trainer.average.network["translator"](source)
        for name, picture in (("before", source), ("after", made)):
            found[name] = float(-10 * (picture - target).square().mean().log10())
    return found


def test_paired_learns_a_slow_filter(tmp_path: Path) -> None:
    trainer = start(tmp_path, PAIRED)
    untrained = mean_psnr(trainer)
    assert trainer.train().finished
    found = mean_psnr(trainer)
    assert untrained["after"] < 9
    assert found["before"] < 8.5
    assert found["after"] > 12.5


def test_enhance_undoes_noise_and_low_light(tmp_path: Path) -> None:
    trainer = start(tmp_path, ENHANCE)
    assert trainer.train().finished
    found = mean_psnr(trainer)
    assert found["before"] < 13
    assert found["after"] > 18


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PAIRED, id="paired", marks=pytest.mark.slow),
        pytest.param(ENHANCE, id="enhance", marks=pytest.mark.slow),
    ],
)
def test_resumed_exported_and_evaluated(text: str, tmp_path: Path) -> None:
    text = text.replace("steps: 120", "steps: 4").replace("steps: 80", "steps: 4")
    lines = dry_run(start(tmp_path, text, "plan"))
    assert lines[0] == "content: 4 pictures to train on, 0 broken, 1 held out"
    start(tmp_path, text, "whole").train()
    start(tmp_path, text, "parts").train(until=2)
    again = Trainer(RunDirectory.open(tmp_path / "parts"), CPU)
    again.resume()
    assert again.train().finished
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "latest.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for network in ("generators", "discriminators", "average"):
        assert all(torch.equal(one[network][key], two[network][key]) for key in one[network])

    run, output = RunDirectory.open(tmp_path / "whole"), tmp_path / "models" / "tiny.onnx"
    pictures = [scene(number, 200, 300) for number in range(2)]
    assert all(parity.largest <= 2 for parity in export_run(run, output, pictures))
    assert spec_of(onnx.load(output), output).styles == ()
    _, summary = evaluate_run(run.path, tmp_path / "report", None, [], 1, 2)
    assert {"psnr", "psnr_before", "ssim", "ms_ssim", "ms_640x360"} <= summary.keys()
    output.rename(output.with_name(f"{run.recipe.name}.onnx"))
    output.with_suffix(".yaml").rename(output.with_name(f"{run.recipe.name}.yaml"))
    _, of_model = evaluate_model(
        output.with_name(f"{run.recipe.name}.onnx"), tmp_path / "of-model", None, [], 1, 2
    )
    assert of_model["psnr"] == pytest.approx(summary["psnr"], abs=0.1)


def test_targets_from_a_folder_are_cut_like_their_pictures(tmp_path: Path) -> None:
    for path in sorted((make_content(tmp_path) / "content").iterdir()):
        picture = cv2.imread(str(path))
        write_picture(tmp_path / "targets" / path.name, 255 - picture[..., ::-1])
    text = PAIRED.replace("teacher: ink", 'targets: "{folder}/targets"')
    trainer = start(tmp_path, text)
    batch = trainer.objective.make_batch(0, range(4))
    assert float((batch["source"] + batch["target"] - 1).abs().max()) < 0.01
    assert trainer.objective.check()[1] == "targets: 5 that fit"

    (tmp_path / "targets" / "2.png").unlink()
    with pytest.raises(TrainingError, match=r"1 pictures have no target in .*2\.png"):
        start(tmp_path, text, "missing")


def test_a_target_of_another_size_is_skipped_and_counted(tmp_path: Path) -> None:
    make_content(tmp_path)
    for number in range(5):
        write_picture(tmp_path / "targets" / f"{number}.png", scene(number))
    write_picture(tmp_path / "targets" / "3.png", scene(3, 40, 48))
    trainer = start(tmp_path, PAIRED.replace("teacher: ink", 'targets: "{folder}/targets"'))
    assert trainer.objective.check()[1] == "targets: 4 that fit"


def test_a_larger_generator_as_the_teacher(tmp_path: Path) -> None:
    text = PAIRED.replace("steps: 80", "steps: 1")
    start(tmp_path, text, "large").train()
    model = tmp_path / "large.onnx"
    export_run(RunDirectory.open(tmp_path / "large"), model, [scene(0, 200, 300)])
    pupil = text.replace("teacher: ink", 'teacher_model: "{folder}/large.onnx"')
    batch = start(tmp_path, pupil, "pupil").objective.make_batch(0, [0])
    large = Trainer(RunDirectory.open(tmp_path / "large"), CPU)
    large.resume()
    with torch.no_grad():
        wanted = large.average.network["translator"](batch["source"])
    assert float((batch["target"] - wanted).abs().max()) <= 2 / 255

    styled = pupil.replace("l1: 1", "teacher_mix: [1, 0], l1: 1")
    with pytest.raises(TrainingError, match=r"mixes 0 styles, but paired\.teacher_mix has 2"):
        start(tmp_path, styled, "styled")
    with pytest.raises(ModelError, match=r"there is no model file .*none\.onnx"):
        start(tmp_path, pupil.replace("large.onnx", "none.onnx"), "none")


def test_a_checkpoint_with_older_names_of_its_parts_is_taken_up(tmp_path: Path) -> None:
    trainer = start(tmp_path, ENHANCE)
    trainer.save()
    checkpoint = trainer.run.checkpoint
    state = torch.load(checkpoint, weights_only=True)
    assert any(".scales." in name for name in state["discriminators"])
    state["makers"] = state.pop("generator_optimizer")
    state["judges"] = state.pop("discriminator_optimizer")
    state["discriminators"] = {
        name.replace(".scales.", ".judges."): weights
        for name, weights in state["discriminators"].items()
    }
    torch.save(state, checkpoint)
    trainer.resume()


@pytest.mark.parametrize("text", [PAIRED, ENHANCE], ids=["paired", "enhance"])
def test_a_perceptual_loss_where_the_recipe_asks_for_one(text: str, tmp_path: Path) -> None:
    layers = {"conv1_1": 0.5, "conv2_1": 2.0}
    features = write_features(tmp_path / "f.npz", LAYERS)
    section = f'{{{{perceptual: 3, perceptual_layers: {{{layers}}}, features: "{features}", '
    asked = text.replace("paired: {{", f"paired: {section}")
    asked = asked.replace("enhance: {{", f"enhance: {section}")
    trainer = start(tmp_path, asked)
    batch = trainer.objective.make_batch(0, range(2))
    with torch.no_grad():
        turn = trainer.objective.generator_turn(batch)
    network = load_features(features)
    found, wanted = (network(p, layers) for p in (turn.fakes["made"], batch["target"]))
    expected = sum(
        weight
        * float(
            (
                (found[layer] - wanted[layer]).square().sum((1, 2, 3))
                / wanted[layer].square().sum((1, 2, 3))
            ).mean()
        )
        for layer, weight in layers.items()
    )
    assert float(turn.metrics["perceptual"]) == pytest.approx(expected, rel=1e-4)
    plain = start(tmp_path, text, "plain")
    with torch.no_grad():
        without = plain.objective.generator_turn(batch)
    assert "perceptual" not in without.metrics
    assert float(turn.loss - without.loss) == pytest.approx(3 * expected, rel=1e-3)

    with pytest.raises(TrainingError, match=r"no layer conv9_1"):
        start(tmp_path, asked.replace("conv2_1", "conv9_1"), "unknown")
    features.unlink()
    with pytest.raises(TrainingError, match=r"f\.npz are missing"):
        start(tmp_path, asked, "missing")


def test_one_source_of_targets(tmp_path: Path) -> None:
    for keys in ("teacher: ink, targets: somewhere", "l1: 2"):
        path = tmp_path / "recipe.yaml"
        path.write_text(
            PAIRED.replace("teacher: ink, l1: 1", keys).format(folder=tmp_path), encoding="utf-8"
        )
        with pytest.raises(RecipeError, match="exactly one of targets, teacher"):
            load_recipe(path)


def test_degradations_in_ranges_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="jpeg must rise"):
        EnhanceRecipe(jpeg=(50, 101))
    with pytest.raises(ValueError, match="blur must rise"):
        EnhanceRecipe(blur=(2, 1))


def two_halves() -> Pixels:
    """Light on the left, dark on the right."""
    picture = np.full((64, 64, 3), 200, np.uint8)
    picture[:, 32:] = 40
    return picture


def test_comic_flattens_and_outlines() -> None:
    picture = two_halves()
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 6, picture.shape), 0, 255)
    drawn = filters.comic(noisy.astype(np.uint8))
    assert drawn[:, :24].std() < 0.5 * noisy[:, :24].std()
    # The outline lies on the dark side of the edge.
    assert drawn[20:40, 31:34].min() < 0.5 * drawn[20:40, 50:].mean()


@pytest.mark.parametrize("draw", [filters.ink, filters.pencil])
def test_ink_and_pencil_leave_paper_and_darken_shade(draw: Callable[[Pixels], Pixels]) -> None:
    drawn = draw(two_halves())
    assert drawn[:, :24].min() > 200
    assert drawn[:, 34:36].max() < 0.5 * drawn[:, :24].min()


def test_neon_glows_along_the_edge_alone() -> None:
    drawn = filters.neon(two_halves()).max(axis=2)
    assert drawn[:, 30:34].min() > 150
    assert drawn[:, :8].max() < 80


def test_oil_keeps_edges_and_paints_over_noise() -> None:
    picture = two_halves()
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 12, picture.shape), 0, 255)
    painted = filters.oil(noisy.astype(np.uint8)).astype(int)
    assert painted[:, 4:24].std() < 0.6 * noisy[:, 4:24].std()
    assert abs(painted[8:56, 29].mean() - painted[8:56, 34].mean()) > 140


@pytest.mark.parametrize("name", sorted(FILTERS))
@pytest.mark.parametrize("level", [0, 128, 255])
def test_filters_take_one_colour_and_any_size(name: str, level: int) -> None:
    drawn = FILTERS[name](np.full((17, 33, 3), level, np.uint8))
    assert drawn.shape == (17, 33, 3)
    assert drawn.dtype == np.uint8
    assert drawn.std(axis=(0, 1)).max() < 1


def only(**strengths: Any) -> EnhanceRecipe:
    """A recipe of nothing but the named degradations."""
    nothing: dict[str, Any] = {
        "downscale": (1, 1), "blur": (0, 0), "light": (1, 1), "noise": (0, 0), "jpeg": (100, 100)
    }  # fmt: skip
    return EnhanceRecipe(share=1, **{**nothing, **strengths})


def test_each_degradation_does_what_it_says() -> None:
    flat, random = np.full((64, 64, 3), 100, np.uint8), sample_random(0, 0, 0)
    assert degrade(flat, random, only(light=(0.5, 0.5))).mean() == pytest.approx(50, abs=1)
    # JPEG keeps less of colour than of lightness, whatever the quality.
    grey = cv2.cvtColor(degrade(flat, random, only(noise=(0.1, 0.1))), cv2.COLOR_RGB2GRAY)
    expected = 25.5 * np.linalg.norm([0.299, 0.587, 0.114])
    assert grey.std() == pytest.approx(expected, rel=0.05)
    edge = np.zeros((32, 32, 3), np.uint8)
    edge[:, 16:] = 200
    for blurred in (
        degrade(edge, random, only(blur=(2, 2))),
        downscale(edge.astype(np.float32), 4).astype(np.uint8),
    ):
        steps = np.diff(blurred[16, :, 0].astype(int))
        assert steps.max() < 80
        assert steps.sum() == pytest.approx(200, abs=12)
    errors = [
        np.abs(compress(scene(1), quality).astype(int) - scene(1)).mean() for quality in (5, 95)
    ]
    assert errors[0] > 3 * errors[1] > 0


def test_feature_matching_by_hand() -> None:
    ones, halves = torch.ones(1, 2, 2, 2), torch.full((1, 2, 2, 2), 0.5)
    assert float(feature_matching([[ones, ones], [halves]], [[halves, ones], [ones]])) == (
        pytest.approx((0.5 + 0 + 0.5) / 3)
    )


def test_figures_of_a_painter_that_does_nothing() -> None:
    pairs = [(scene(1, 176, 200), scene(2, 176, 200))]
    entry = evaluate_pairs(lambda frame, mix: frame, pairs, [[scene(1), scene(1)]])
    figures = entry.figures
    for name in ("psnr", "ssim", "ms_ssim"):
        assert figures[name] == figures[f"{name}_before"]
    assert figures["warp_error"] == 0
    assert json.dumps(figures)
    with pytest.raises(TrainingError, match="no pictures to evaluate"):
        evaluate_pairs(lambda frame, mix: frame, [])


def test_an_old_film_is_scratched_dusty_and_faded() -> None:
    picture = np.full((120, 160, 3), (150, 110, 90), np.uint8)

    def aged(**changed: tuple[float, float]) -> Pixels:
        still: dict[str, Any] = {"downscale": (1, 1), "blur": (0, 0), "light": (1, 1)}
        recipe = EnhanceRecipe(share=1, noise=(0, 0), jpeg=(100, 100), **still, **changed)
        return degrade(picture, np.random.default_rng(1), recipe)

    whole = aged()
    assert np.abs(whole.astype(int) - picture).max() <= 3
    for damage in ({"scratches": (3.0, 3.0)}, {"dust": (8.0, 8.0)}):
        far = np.abs(aged(**damage).astype(int) - picture).max(axis=2) > 40
        assert 0.002 < far.mean() < 0.3, damage
    faded = aged(fading=(0.6, 0.6)).astype(float)
    assert np.ptp(faded.mean((0, 1))) < np.ptp(picture[0, 0].astype(float))
    assert np.ptp(faded, axis=(0, 1)).max() <= 4, "evenly"


def test_damage_of_a_film_moves_no_other_draw() -> None:
    picture = scene(1)
    recipe = EnhanceRecipe(share=1)
    aged = EnhanceRecipe(share=1, dust=(0, 1e-9))
    made = [degrade(picture, np.random.default_rng(4), each) for each in (recipe, aged)]
    assert np.array_equal(*made)
