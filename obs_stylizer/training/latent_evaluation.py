"""Evaluation of a generator that makes pictures from noise.

``kernel_distance`` and ``coverage`` (see :mod:`~obs_stylizer.training.image_metrics`) compare
what it makes with patches of real pictures, held-out ones where the recipe holds out some; with
``_of_real``, they compare one half of those patches with the other, which is as good as can be.
``nearest_distance`` is that of a made picture's features from the nearest patch the generator was
trained on; much below ``nearest_distance_of_real``, it repeats what it was shown, unless its
pictures are so plain that they are near to everything, which ``coverage`` tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.latent_model import METADATA_KEY, LatentSession, load_latent_model
from obs_stylizer.inference.native_model import load_proto
from obs_stylizer.training.datasets import ContentPictures, PictureSet, cut_crop, sample_random
from obs_stylizer.training.evaluation import StyleFigures, summarise, write_report
from obs_stylizer.training.features import load_features
from obs_stylizer.training.image_metrics import (
    Points,
    coverage,
    distances,
    features_of,
    kernel_distance,
    standardised,
)
from obs_stylizer.training.latent_export import trained_latent_generator
from obs_stylizer.training.pictures import find_pictures
from obs_stylizer.training.recipe import Recipe, expand_path, load_recipe
from obs_stylizer.training.run_directory import RunDirectory

MakePicture = Callable[[np.ndarray[tuple[int, ...], np.dtype[np.float32]]], Pixels]
"""Makes a picture, uint8 (H, W, 3), of noise, float32 (Z,)."""

PICTURES: Final = 256
"""Patches in each half, and pictures that are made."""
SHOWN: Final = 6
_SEED: Final = 10_007


def makes_pictures_from_noise(target: Path) -> bool:
    """Return whether ``target`` is a run or a model of the objective ``generate``.

    Raises:
        TrainingError: it is neither a run nor a file.
        ModelError: it is no ONNX file.
    """
    if target.is_dir():
        return RunDirectory.open(target).recipe.objective == "generate"
    if not target.is_file():
        raise TrainingError(f"there is no model {target}")
    return any(prop.key == METADATA_KEY for prop in load_proto(target).metadata_props)


def evaluate_latent_run(
    path: Path, output: Path, content: Path | None, features: Path | None = None
) -> tuple[Path, dict[str, float]]:
    """Evaluate the moving-average generator of the ``generate`` run at ``path``.

    Args:
        path: run directory.
        output: folder for the report.
        content: folder of pictures; None takes the recipe's.
        features: weights of SqueezeNet or VGG-19; None takes the recipe's file.

    Returns:
        The page, and the figures.

    Raises:
        TrainingError: the run, the features or the pictures cannot be used.
    """
    run = RunDirectory.open(path)
    native = trained_latent_generator(run)

    @torch.inference_mode()
    def make(latent: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Pixels:
        made: Pixels = native(torch.from_numpy(latent[None]))[0].numpy()
        return made

    return _evaluate(run.recipe, make, output, content, features)


def evaluate_latent_model(
    path: Path, output: Path, content: Path | None, features: Path | None = None
) -> tuple[Path, dict[str, float]]:
    """Evaluate the exported generator at ``path``, with the recipe that stands beside it.

    Arguments, result and errors as for :func:`judge_latent_run`.

    Raises:
        ModelError: the file makes no pictures from noise.
    """
    model = load_latent_model(path)
    recipe = load_recipe(path.with_name(f"{model.spec.name}.yaml"))
    return _evaluate(recipe, LatentSession(model).run, output, content, features)


def _evaluate(
    recipe: Recipe, make: MakePicture, output: Path, content: Path | None, features: Path | None
) -> tuple[Path, dict[str, float]]:
    if recipe.generate is None:
        raise TrainingError(f"the recipe {recipe.name} makes no pictures from noise")
    network = load_features(features or expand_path(recipe.generate.features))
    pictures = ContentPictures.of(recipe.data)
    reference_paths = pictures.training.paths
    if content is not None:
        reference_paths = find_pictures(content)
    elif pictures.held_out:
        reference_paths = list(pictures.held_out)
    real = _patches(recipe, PictureSet(reference_paths, recipe.data.short_side[1]), 2 * PICTURES, 0)
    shown = _patches(recipe, pictures.training, PICTURES, 1)
    random = np.random.default_rng(_SEED)
    latents = random.standard_normal((PICTURES, recipe.generator.latent), np.float32)
    started = time.perf_counter()
    made = [make(latent) for latent in latents]
    milliseconds = (time.perf_counter() - started) * 1e3 / len(made)

    seen = [features_of(network, part) for part in (real[::2], real[1::2], shown, made)]
    one, other, trained_on, of_made = standardised(seen, by=seen[0])
    entry = StyleFigures(
        {
            "kernel_distance": kernel_distance(one, of_made),
            "kernel_distance_of_real": kernel_distance(one, other),
            "coverage": coverage(one, of_made),
            "coverage_of_real": coverage(one, other),
            "nearest_distance": float(distances(of_made, trained_on).min(1).mean()),
            "nearest_distance_of_real": float(distances(other, trained_on).min(1).mean()),
            "ms_a_picture": milliseconds,
        },
        _beside_nearest(made, of_made, shown, trained_on),
    )
    found = {recipe.name: entry}
    return write_report(output, recipe.title or recipe.name, found), summarise(found)


def _patches(recipe: Recipe, pictures: PictureSet, count: int, purpose: int) -> list[Pixels]:
    """Return crops as the training cuts them, but none that it saw: the numbers are others."""
    randoms = [
        sample_random(recipe.seed, number, _SEED, _SEED + purpose) for number in range(count)
    ]
    data = recipe.data
    return [
        cut_crop(pictures.draw(random), random, data.crop, data.short_side) for random in randoms
    ]


def _beside_nearest(
    made: list[Pixels], of_made: Points, shown: list[Pixels], trained_on: Points
) -> list[tuple[Pixels, Pixels]]:
    """Return pictures that were made, each beside the patch that is nearest to it."""
    nearest = distances(of_made[:SHOWN], trained_on).argmin(1)
    return [(shown[index], picture) for index, picture in zip(nearest, made, strict=False)]
