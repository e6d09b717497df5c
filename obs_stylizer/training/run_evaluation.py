"""Evaluation of a run directory or of a model file, with pictures that were held out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    OUTPUT,
    STYLE_INPUT,
    spec_of,
    write_spec,
)
from obs_stylizer.training.datasets import ContentPictures
from obs_stylizer.training.evaluation import (
    FRAME_SIZE,
    Mix,
    Painter,
    StyleMetric,
    evaluate_pairs,
    evaluate_styles,
    read_clip,
    summarise,
    write_report,
)
from obs_stylizer.training.export import describe, to_onnx, trained_generator
from obs_stylizer.training.features import Vgg19
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.objectives import build_objective
from obs_stylizer.training.objectives.base import spread
from obs_stylizer.training.objectives.translation import TranslationObjective
from obs_stylizer.training.objectives.unpaired import UnpairedObjective
from obs_stylizer.training.pictures import find_pictures, read_picture, scale_to_short_side
from obs_stylizer.training.quantization import CALIBRATION_PICTURES
from obs_stylizer.training.recipe import Recipe, expand_path, load_recipe
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.speed import Speed, measure_speed

STYLE_LAYERS: Final = ("conv1_2", "conv2_2", "conv3_1", "conv3_3")
EvaluationResult = tuple[Path, dict[str, float]]


def evaluate_run(
    path: Path,
    output: Path,
    content: Path | None,
    clips: Sequence[Path],
    pictures: int,
    frames: int,
    features: Path | None = None,
) -> EvaluationResult:
    """Evaluate the moving-average generator of the run at ``path``.

    Args:
        path: run directory.
        output: folder for the report.
        content: folder of pictures; None takes those that the recipe held out.
        clips: video files.
        pictures: how many pictures at most.
        frames: how many frames of each clip.
        features: VGG-19's weights; None takes the recipe's file.

    Returns:
        The page, and the summary over the styles.

    Raises:
        TrainingError: the run, its features or the pictures cannot be used.
    """
    run = RunDirectory.open(path)
    native = trained_generator(run)

    @torch.inference_mode()
    def paint(frame: Pixels, mix: Mix | None) -> Pixels:
        style = None if mix is None else torch.from_numpy(mix[None])
        made: Pixels = native(torch.from_numpy(frame[None]), style)[0].numpy()
        return made

    back: Painter | None = None
    if run.recipe.unpaired is not None and run.recipe.unpaired.form == "cycle":
        returning = trained_generator(run, "back")

        @torch.inference_mode()
        def back(frame: Pixels, mix: Mix | None) -> Pixels:  # noqa: ARG001
            made: Pixels = returning(torch.from_numpy(frame[None]), None)[0].numpy()
            return made

    speed = _speed_of_run(run, native)
    return _evaluate(
        run.recipe, paint, output, content, clips, pictures, frames, speed, features, back
    )


def evaluate_model(
    path: Path,
    output: Path,
    content: Path | None,
    clips: Sequence[Path],
    pictures: int,
    frames: int,
    features: Path | None = None,
) -> EvaluationResult:
    """Evaluate the native generator at ``path``, with the recipe that stands beside it.

    Arguments, result and errors as for :func:`judge_run`.

    Raises:
        ModelError: the file is no native generator.
    """
    if not path.is_file():
        raise TrainingError(f"there is no model {path}")
    spec = spec_of(onnx.load(path), path)
    recipe = load_recipe(path.with_name(f"{spec.name}.yaml"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def paint(frame: Pixels, mix: Mix | None) -> Pixels:
        feeds = {FRAME_INPUT: frame[None]}
        if mix is not None and spec.styles:
            made: Pixels = session.run([OUTPUT], {**feeds, STYLE_INPUT: mix[None]})[0][0]
        else:
            made = session.run([OUTPUT], feeds)[0][0]
        return made

    speed = measure_speed(path, FRAME_SIZE)
    return _evaluate(recipe, paint, output, content, clips, pictures, frames, speed, features)


def held_out_pictures(recipe: Recipe, count: int) -> list[Pixels]:
    """Return up to ``count`` of the pictures that ``recipe`` held out, in turn from each folder.

    Falls back on the pictures it trains on where it holds out none.

    Raises:
        TrainingError: they are missing.
    """
    content = ContentPictures.of(recipe.data)
    return _read_some(list(content.held_out or content.training.paths), count)


def calibration_pictures(recipe: Recipe) -> list[Pixels]:
    """Return pictures that ``recipe`` trains on, spread evenly, to calibrate quantization with.

    Raises:
        TrainingError: they are missing.
    """
    return _read_some(ContentPictures.of(recipe.data).training.paths, CALIBRATION_PICTURES)


def _read_some(paths: Sequence[Path], count: int) -> list[Pixels]:
    count = min(count, len(paths))
    chosen = np.linspace(0, len(paths) - 1, count).round().astype(int)
    return [read_picture(paths[index]) for index in chosen]


def _evaluate(
    recipe: Recipe,
    paint: Painter,
    output: Path,
    content: Path | None,
    clips: Sequence[Path],
    pictures: int,
    frames: int,
    speed: Sequence[Speed],
    features: Path | None,
    back: Painter | None = None,
) -> EvaluationResult:
    title = recipe.title or recipe.name
    turned = [read_clip(clip, frames) for clip in clips]
    if recipe.painting is None:
        pairs = [
            (source, None if recipe.unpaired is not None and back is None else target)
            for source, target in _whole_pairs(recipe, content, pictures)
        ]
        evaluated = {recipe.name: evaluate_pairs(paint, pairs, turned, back)}
        return write_report(output, title, evaluated, speed), summarise(evaluated)
    sources = (
        held_out_pictures(recipe, pictures)
        if content is None
        else _read_some(find_pictures(content), pictures)
    )
    styles = {
        name: scale_to_short_side(read_picture(expand_path(style.picture)), style.size)
        for name, style in recipe.painting.styles.items()
    }
    network = Vgg19.load(features or expand_path(recipe.painting.features))
    trained_on = tuple(recipe.painting.style_layers)
    # A generator trained with other features is judged by VGG-19 all the same.
    layers = trained_on if set(trained_on) <= set(network.names) else STYLE_LAYERS
    style_metric = StyleMetric(network, layers)
    found = evaluate_styles(paint, styles, style_metric, sources, turned)
    return write_report(output, title, found, speed), summarise(found)


def _speed_of_run(run: RunDirectory, native: NativeGenerator) -> list[Speed]:
    """Time what ``export`` wrote into the run directory, or else a file made for the purpose."""
    exported = run.path / f"{run.recipe.name}.onnx"
    if exported.is_file():
        return measure_speed(exported, FRAME_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / exported.name
        model = to_onnx(native)
        write_spec(model, describe(run.recipe, native.size_multiple, {}))
        onnx.save(model, path)
        return measure_speed(path, FRAME_SIZE)


def _whole_pairs(recipe: Recipe, content: Path | None, count: int) -> list[tuple[Pixels, Pixels]]:
    """Return sources and targets, of held-out pictures unless ``content`` names others."""
    objective = build_objective(recipe, torch.device("cpu"))
    if not isinstance(objective, TranslationObjective | UnpairedObjective):
        raise TrainingError(f"the recipe {recipe.name} has neither styles nor targets to judge by")
    paths = (
        list(objective.content.held_out or objective.content.training.paths)
        if content is None
        else find_pictures(content)
    )
    return [objective.whole_pair(path, FRAME_SIZE) for path in spread(paths, count)]
