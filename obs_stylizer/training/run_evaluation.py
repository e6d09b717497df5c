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
    spec_of,
    write_spec,
)
from obs_stylizer.inference.style_rows import style_feed
from obs_stylizer.training.comparison import (
    Compared,
    compare,
    find_others,
    write_comparison,
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
from obs_stylizer.training.objective_recipes import VGG16_FILE, VGG19_FILE
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
BROAD_LAYERS: Final = ("conv1_2", "conv2_2", "conv3_3", "conv4_1")
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
    paint = _painter_of_run(native)
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
    recipe, _, paint = _open_model(path)
    speed = measure_speed(path, FRAME_SIZE)
    return _evaluate(recipe, paint, output, content, clips, pictures, frames, speed, features)


def compare_beside(
    target: Path, folder: Path, output: Path, features: Path | None = None
) -> tuple[Path, list[Compared]]:
    """Compare a run's or model's pictures with another method's, of the same photographs.

    Args:
        target: run directory, or a native generator with its recipe beside it.
        folder: photographs, and the other method's pictures (see :func:`find_others`).
        output: folder for the page and the figures.
        features: weights to use for ``style_ratio`` instead of VGG-19's.

    Returns:
        The page, and what was measured.

    Raises:
        TrainingError: target, features or pictures cannot be used, or the target has no styles.
        ModelError: the file is no native generator.
    """
    if target.is_dir():
        run = RunDirectory.open(target)
        recipe, native = run.recipe, trained_generator(run)
        paint, multiple = _painter_of_run(native), native.size_multiple
    else:
        recipe, multiple, paint = _open_model(target)
    paintings = style_pictures(recipe)
    others = find_others(folder, list(paintings))
    compared = compare(paint, multiple, paintings, others, style_metrics(recipe, features))
    title = f"{recipe.title or recipe.name} beside {folder.name}"
    return write_comparison(output, title, compared, paintings), compared


def _painter_of_run(native: NativeGenerator) -> Painter:
    @torch.inference_mode()
    def paint(frame: Pixels, mix: Mix | None) -> Pixels:
        style = None if mix is None else torch.from_numpy(mix[None])
        made: Pixels = native(torch.from_numpy(frame[None]), style)[0].numpy()
        return made

    return paint


def _open_model(path: Path) -> tuple[Recipe, int, Painter]:
    """Return the recipe beside a native generator, its size multiple, and what it paints."""
    if not path.is_file():
        raise TrainingError(f"there is no model {path}")
    model = onnx.load(path)
    spec = spec_of(model, path)
    recipe = load_recipe(path.with_name(f"{spec.name}.yaml"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def paint(frame: Pixels, mix: Mix | None) -> Pixels:
        style = {} if mix is None else style_feed(model, path, mix)
        made: Pixels = session.run([OUTPUT], {FRAME_INPUT: frame[None], **style})[0][0]
        return made

    return recipe, spec.size_multiple, paint


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
    paintings = style_pictures(recipe)
    metrics = style_metrics(recipe, features)
    found = evaluate_styles(
        paint,
        paintings,
        metrics["style_ratio"],
        sources,
        turned,
        metrics.get("broad_style_ratio"),
    )
    return write_report(output, title, found, speed), summarise(found)


def style_pictures(recipe: Recipe) -> dict[str, Pixels]:
    """Return the picture of each style of a painting recipe, at the size it is trained with.

    Raises:
        TrainingError: one cannot be read, or the recipe has none.
    """
    if recipe.painting is None:
        raise TrainingError(f"the recipe {recipe.name} has no styles")
    return {
        name: scale_to_short_side(read_picture(expand_path(style.picture)), style.size)
        for name, style in recipe.painting.styles.items()
    }


def style_metrics(recipe: Recipe, features: Path | None) -> dict[str, StyleMetric]:
    """Return the metrics of a painting recipe by the name of their figure.

    Figures are comparable only by the same network. So ``style_ratio`` is VGG-19's where its
    weights are at hand, whatever was trained with, and ``broad_style_ratio`` is left out where
    there is no VGG-16.

    Args:
        recipe: of paintings.
        features: weights to use for ``style_ratio`` instead.

    Raises:
        TrainingError: no weights can be read.
    """
    assert recipe.painting is not None
    own = expand_path(recipe.painting.features)
    fine = features or _at_hand(VGG19_FILE) or own
    metrics = {"style_ratio": StyleMetric(Vgg19.load(fine), STYLE_LAYERS)}
    for path in (own, _at_hand(VGG16_FILE)):
        network = Vgg19.load(path) if path is not None and path.is_file() else None
        if network is not None and BROAD_LAYERS[-1] in network.names:
            metrics["broad_style_ratio"] = StyleMetric(network, BROAD_LAYERS, 0.5)
            break
    return metrics


def _at_hand(text: str) -> Path | None:
    """Return the path that ``text`` means, if there is such a file on this machine."""
    try:
        path = expand_path(text)
    except TrainingError:
        return None
    return path if path.is_file() else None


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
