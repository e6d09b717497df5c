"""The unpaired objective in both of its forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from obs_stylizer.training.dry_run import dry_run
from obs_stylizer.training.export import export_run
from obs_stylizer.training.losses.contrastive import features_at, patch_nce
from obs_stylizer.training.recipe import RecipeError, load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.run_evaluation import evaluate_run
from obs_stylizer.training.trainer import Trainer

from .conftest import make_content, scene, write_picture

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("small_frames")]

CPU = torch.device("cpu")

RECIPE = """
name: tiny-unpaired
seed: 3
precision: f32
objective: unpaired
unpaired: {{second: ["{folder}/second"], form: cycle, cycle: 1, identity: 0, places: 16}}
data: {{content: ["{folder}/content"], hold_out: 1, crop: 32, short_side: [48, 80], exposure: 0}}
generator: {{kind: residual, channels: 4, blocks: 1, normalise: no, correction: yes}}
discriminator: {{channels: [8, 8]}}
adversarial:
  {{loss: least_squares, weight: 1, pool: 4, learning_rate: 0.0004, betas: [0.5, 0.99],
    instance_noise: 0.02}}
temporal: {{weight: 0}}
schedule: {{steps: 300, batch: 4, warm_up: 5, learning_rate: 0.002, moving_average: 0.9}}
"""


def start(folder: Path, name: str = "run", *replacements: tuple[str, str]) -> Trainer:
    text = RECIPE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    make_content(folder)
    for number in range(5):
        # The second domain has no red, and other places.
        picture = np.ascontiguousarray(scene(number + 9)[::-1]) * (0, 1, 1)
        write_picture(folder / "second" / f"{number}.png", picture.astype(np.uint8))
    recipe = folder / f"{name}.yaml"
    recipe.write_text(text.format(folder=folder), encoding="utf-8")
    return Trainer(RunDirectory.create(folder / name, recipe), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["cycle", "contrastive"])
def test_red_is_taken_away_and_the_rest_kept(form: str, tmp_path: Path) -> None:
    trainer = start(tmp_path, "run", ("form: cycle", f"form: {form}"))
    networks = trainer.average.network
    with torch.no_grad():
        first = trainer.objective.make_batch(10**6, range(8))["first"]
        untrained = networks["forth"](first)
        assert float(untrained[:, 0].mean()) > 0.45
    assert trainer.train().finished
    with torch.no_grad():
        made = networks["forth"](first)
        kept = float((made - first)[:, 1:].abs().mean())
    assert float(first[:, 0].mean()) > 0.4
    assert float(made[:, 0].mean()) < 0.2
    assert kept < 0.15
    if form == "cycle":
        # What was taken away is put back: left out, it would be missed by this much.
        missing = float((made - first).abs().mean())
        returned = float((networks["back"](made) - first).detach().abs().mean())
        assert missing > 0.15
        assert returned < 0.8 * missing


@pytest.mark.parametrize("form", ["cycle", pytest.param("contrastive", marks=pytest.mark.slow)])
def test_resumed_exported_and_evaluated(form: str, tmp_path: Path) -> None:
    short = (
        ("steps: 300", "steps: 4"),
        ("form: cycle", f"form: {form}"),
        ("weight: 0}", "weight: 0.1}"),
    )
    lines = dry_run(start(tmp_path, "plan", *short))
    assert lines[1] == "second domain: 4 pictures to train on, 0 broken, 1 held out"
    start(tmp_path, "whole", *short).train()
    start(tmp_path, "parts", *short).train(until=2)
    again = Trainer(RunDirectory.open(tmp_path / "parts"), CPU)
    again.resume()
    assert again.train().finished
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "latest.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for network in ("generators", "discriminators", "average"):
        assert all(torch.equal(one[network][key], two[network][key]) for key in one[network])
    run = RunDirectory.open(tmp_path / "whole")
    _, summary = evaluate_run(run.path, tmp_path / "report", None, [], 1, 2)
    assert ("psnr_cycle" in summary) is (form == "cycle")
    assert "noise_error" in summary
    parity = export_run(run, tmp_path / "tiny.onnx", [scene(0, 200, 300)])
    assert all(found.largest <= 2 for found in parity)


def test_the_contrastive_loss_of_features_that_match_and_that_do_not() -> None:
    source = torch.eye(4)[None]
    matching = float(patch_nce(source, source, 0.07))
    expected = -np.log(np.exp(1 / 0.07) / (np.exp(1 / 0.07) + 3))
    assert matching == pytest.approx(expected, abs=1e-6)
    assert float(patch_nce(source.roll(1, 1), source, 0.07)) > 10
    # Features that are alike everywhere tell no place from another.
    assert float(patch_nce(torch.ones(1, 4, 4), source, 0.07)) == pytest.approx(np.log(4), rel=1e-5)


def test_features_at_places() -> None:
    features = torch.arange(12.0).view(1, 2, 2, 3)
    found = features_at(features, torch.tensor([0.0, 0.5, 0.999]))
    assert found.tolist() == [[[0, 6], [3, 9], [5, 11]]]


def test_without_a_loss_there_is_nothing_to_learn(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        RECIPE.format(folder=tmp_path).replace("weight: 1, pool", "weight: 0, pool"),
        encoding="utf-8",
    )
    with pytest.raises(RecipeError, match=r"unpaired needs an adversarial\.weight"):
        load_recipe(path)
