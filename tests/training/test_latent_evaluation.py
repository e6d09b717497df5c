"""How pictures from noise are evaluated: distances whose answer is known, and the report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from obs_stylizer.cli.training import app
from obs_stylizer.errors import ModelError, TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training import latent_evaluation
from obs_stylizer.training.features import load_features
from obs_stylizer.training.image_metrics import (
    coverage,
    distances,
    features_of,
    kernel_distance,
    standardised,
)
from obs_stylizer.training.latent_evaluation import evaluate_latent_model, evaluate_latent_run

from .conftest import scene
from .test_features import squeezenet_weights
from .test_generate import WGAN_GP, start

pytestmark = pytest.mark.training


def test_the_distance_of_two_points_by_hand() -> None:
    one, other = np.full((4, 1), 2.0), np.full((3, 1), -1.0)
    # (2·2 + 1)³ + (1 + 1)³ - 2 (1 - 2)³
    assert kernel_distance(one, other) == pytest.approx(125 + 8 + 2)
    assert kernel_distance(one, one) == pytest.approx(0)


def test_sets_of_one_kind_are_apart_by_nothing_on_average() -> None:
    random = np.random.default_rng(0)
    sets = random.standard_normal((40, 100, 16))
    same = [kernel_distance(one, other) for one, other in zip(sets[::2], sets[1::2], strict=True)]
    assert abs(np.mean(same)) < 3 * np.std(same) / len(same) ** 0.5
    assert min(same) < 0 < max(same)
    assert kernel_distance(sets[0], sets[1] + 0.5) > 10 * max(same)


def test_coverage_counts_the_kinds_that_are_made() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [50, 0], [0, 50], [50, 50]])
    real, made = (np.repeat(centres, 25, 0) + random.standard_normal((100, 2)) for _ in range(2))
    assert coverage(real, made) > 0.95
    assert coverage(real, made[:50]) == pytest.approx(0.5, abs=0.05)
    assert coverage(real, made[:1].repeat(100, 0)) < 0.15
    assert distances(centres[:1], centres).tolist() == [pytest.approx([0, 50, 50, 5000**0.5])]


def test_features_are_measured_by_those_of_the_real_pictures() -> None:
    real = np.stack([np.arange(5.0), np.full(5, 7.0)], 1)
    (found,) = standardised([real + 10], by=real)
    # The second is the same in every real picture and tells nothing.
    assert found.shape == (5, 1)
    assert found.mean() == pytest.approx(10 / real[:, 0].std())


def test_features_of_a_picture_are_the_means_of_the_last_layer(tmp_path: Path) -> None:
    network = load_features(squeezenet_weights(tmp_path / "squeeze.npz"))
    pictures = [scene(number, 64, 64) for number in range(20)]
    found = features_of(network, pictures)
    assert found.shape == (20, 8)
    assert np.allclose(found[17], features_of(network, pictures[17:18])[0], atol=1e-4)


@pytest.fixture
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_evaluation, "PICTURES", 60)


@pytest.mark.usefixtures("_few")
def test_a_run_and_its_model_are_evaluated_alike(tmp_path: Path) -> None:
    trainer = start(tmp_path, WGAN_GP, 2)
    trainer.train()
    run, features = tmp_path / "run", squeezenet_weights(tmp_path / "squeeze.npz")
    command = ["evaluate", str(run), "--features", str(features)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    document = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    figures = document["summary"]
    # Before it has learnt anything it covers nothing, and is far away.
    assert figures["coverage"] < 0.1 < 0.5 < figures["coverage_of_real"]
    assert figures["kernel_distance"] > 5 * abs(figures["kernel_distance_of_real"])
    assert "kernel_distance_of_real" in result.output
    assert (run / "evaluation.html").read_text(encoding="utf-8").count("data:image/jpeg") == 12

    assert CliRunner().invoke(app, ["export", str(run)]).exit_code == 0
    _, of_model = evaluate_latent_model(run / "tiny-colours.onnx", tmp_path / "m", None, features)
    for name in ("kernel_distance", "coverage", "nearest_distance"):
        assert of_model[name] == pytest.approx(figures[name], rel=0.02)


@pytest.mark.usefixtures("_few")
def test_real_pictures_in_the_place_of_made_ones_cannot_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path, WGAN_GP, 1).train()
    features = squeezenet_weights(tmp_path / "squeeze.npz")

    def perfect(recipe: object, make: object, *rest: object) -> object:
        def copy(latent: np.ndarray) -> Pixels:
            colour = latent_evaluation.ContentPictures.of(recipe.data).training  # type: ignore[attr-defined]
            return colour.draw(np.random.default_rng(abs(hash(latent.tobytes()))))

        return evaluate(recipe, copy, *rest)

    evaluate = latent_evaluation._evaluate
    monkeypatch.setattr(latent_evaluation, "_evaluate", perfect)
    _, figures = evaluate_latent_run(tmp_path / "run", tmp_path / "report", None, features)
    assert figures["coverage"] > 0.9
    assert figures["kernel_distance"] < 0.5
    assert figures["nearest_distance"] < 0.01


def test_what_cannot_be_evaluated_is_named(tmp_path: Path) -> None:
    start(tmp_path, WGAN_GP, 1).train()
    for words, kind, message in (
        ((tmp_path / "none.onnx",), TrainingError, "there is no model"),
        ((tmp_path / "run", "--features", tmp_path / "no.npz"), TrainingError, "are missing"),
        ((tmp_path / "run.yaml",), ModelError, "no ONNX"),
    ):
        result = CliRunner().invoke(app, ["evaluate", *(str(word) for word in words)])
        assert isinstance(result.exception, kind)
        assert message in str(result.exception)


@pytest.mark.skipif("STYLIZER_DATA" not in os.environ, reason="STYLIZER_DATA is not set")
def test_the_whole_squeezenet_tells_paintings_from_photographs() -> None:
    from obs_stylizer.training.datasets import PictureSet, cut_crop, sample_random
    from obs_stylizer.training.pictures import find_pictures

    data = Path(os.environ["STYLIZER_DATA"])
    network = load_features(data / "features" / "squeezenet1_0.npz")

    def patches(folder: str, first: int) -> list[Pixels]:
        pictures = PictureSet(find_pictures(data / folder)[:12], 256)
        randoms = [sample_random(0, number, 0) for number in range(first, first + 32)]
        return [cut_crop(pictures.draw(r), r, 128, (160, 256)) for r in randoms]

    seen = [
        features_of(network, part)
        for part in (patches("styles", 0), patches("styles", 100), patches("content", 0))
    ]
    one, other, photographs = standardised(seen, by=seen[0])
    assert kernel_distance(one, other) < 0.3 * kernel_distance(one, photographs)
