"""Your own style by one command: train, measure, export, and make a preset of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from obs_stylizer.cli import keyframe_learn, quick_learn, training
from obs_stylizer.errors import TrainingError, UsageError
from obs_stylizer.inference.locate import find_model, model_files, model_folders
from obs_stylizer.styling.installed_styles import (
    refuse_taken_presets,
    style_name,
    style_title,
    write_preset,
)
from obs_stylizer.yaml_text import read_yaml, write_yaml

_RECIPE = Path(training.__file__).parent.parent / "training" / "recipes" / "one-painting.yaml"
_START = "paintings"
"""Whose weights it starts with: it can draw strokes already, and learns which."""
_HELD_OUT = 10


def learn(
    pictures: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures whose styles to learn; each becomes a preset."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Learn one picture, or the look of a film, in about a minute, as one more style "
            "of a bundled generator.",
        ),
    ] = False,
    keyframe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAME=PAINTED",
            help="A frame, and the same with your paint on it; up to five. Carries the painting "
            "onto the moving picture.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="With --keyframe: learn a painting again each time it is saved."
        ),
    ] = False,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of ordinary photographs to learn on, a hundred or more, instead of the "
            "forty that are bundled; not with --quick."
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the generator, or with --quick of the style; the first picture's if left "
            "out."
        ),
    ] = "",
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=3600,
            help="How long to learn: with --quick (90 if left out) or --keyframe (180).",
        ),
    ] = None,
    generator: Annotated[
        str, typer.Option(help="With --quick: whose style it becomes.")
    ] = quick_learn.GENERATOR,
    more: Annotated[
        bool, typer.Option("--more", help="With --quick or --keyframe: go on with what was learnt.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="With --quick or --keyframe: picture for the thumbnail.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --quick or --keyframe: report JSON lines."),
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="How long to train; more pictures need more.")
    ] = 15,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the training; NAME-training if left out.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Weights of VGG-16 or VGG-19 to use, not the bundled ones.")
    ] = None,
    device: training.DeviceOption = "auto",
    threads: training.ThreadsOption = 0,
) -> None:
    """Learn the style of your own pictures: train, measure, export, and make presets.

    In a minute, as one more style of the paintings:
    obs-stylizer learn --quick my-drawing.jpg

    What you painted on a frame, on the moving picture:
    obs-stylizer learn --keyframe frame.png=painted.png --watch

    As a generator of its own, better and in a quarter of an hour:
    obs-stylizer learn my-drawing.jpg

    Ctrl-C saves; the same command goes on from there (with --quick and --keyframe: and --more).
    """
    training.need_torch()
    if keyframe:
        if pictures or quick:
            raise UsageError(
                "--keyframe learns nothing but painted frames",
                "leave out other pictures and --quick",
            )
        pairs = keyframe_learn.read_pairs(keyframe)
        keyframe_learn.learn_keyframes(
            pairs,
            style_name(name or pairs[0][1].stem),
            seconds or keyframe_learn.SECONDS,
            watch=watch,
            more=more,
            preview=preview,
            as_json=as_json,
            threads=threads,
        )
        return
    if watch:
        raise UsageError("--watch belongs to --keyframe", "leave it out")
    if not pictures:
        raise UsageError(
            "there is nothing to learn", "name a picture, or a painted frame with --keyframe"
        )
    styles = _styles(pictures)
    name = style_name(name) if name else next(iter(styles))
    if quick:
        if len(pictures) > 1:
            raise UsageError("--quick learns one picture", "run it once for each")
        quick_learn.learn_quickly(
            pictures[0],
            name,
            seconds or quick_learn.SECONDS,
            generator=generator,
            more=more,
            preview=preview,
            as_json=as_json,
            threads=threads,
        )
        return
    folder = run_dir or Path(f"{name}-training")
    if features is not None and not features.is_file():
        raise TrainingError(f"there are no features at {features}", "leave out --features")
    _refuse_taken(name, styles)
    if folder.exists():
        finished = training.run_training(folder, None, device, threads, features)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            recipe = Path(scratch) / f"{name}.yaml"
            recipe.write_text(_recipe(name, styles, photos, minutes, features), encoding="utf-8")
            finished = training.run_training(
                folder, recipe, device, threads, start_from=find_model(_START)
            )
    if not finished:
        typer.echo("The same command goes on from there.")
        return
    training.evaluate(folder, features=features, threads=threads)
    _, own_models = model_folders()
    own_models.mkdir(parents=True, exist_ok=True)
    training.export(folder, own_models / f"{name}.onnx")
    for style, picture in styles.items():
        preset = {
            "title": style_title(style),
            "description": f"In the style of {picture.name}.",
            "model": name,
            "styles": {style: 1},
        }
        typer.echo(f"written: {write_preset(style, preset)}")
    typer.echo(f"On air with it:  obs-stylizer run --preset {next(iter(styles))}")


def _styles(pictures: list[Path]) -> dict[str, Path]:
    styles: dict[str, Path] = {}
    for picture in pictures:
        if not picture.is_file():
            raise UsageError(f"there is no picture {picture}", "check the path")
        word = style_name(picture.stem)
        if word in styles:
            raise UsageError(
                f"{styles[word].name} and {picture.name} would have the same name",
                "rename one of them",
            )
        styles[word] = picture.resolve()
    return styles


def _refuse_taken(name: str, styles: dict[str, Path]) -> None:
    if name in model_files():
        raise UsageError(f"there is a generator {name} already", "choose another with --name")
    refuse_taken_presets(styles, "rename the picture, or remove the preset")


def _recipe(
    name: str,
    styles: dict[str, Path],
    photos: list[Path] | None,
    minutes: float,
    features: Path | None,
) -> str:
    """Return the bundled recipe for one painting, with other pictures."""
    from obs_stylizer.training.bundled_data import FEATURES, PHOTOGRAPHS

    recipe, _ = read_yaml(_RECIPE.read_text(encoding="utf-8"), _RECIPE)
    recipe.update(name=name, title=style_title(name), licence="unknown")
    example = recipe["painting"]["styles"].popitem()[1]
    recipe["painting"]["styles"] = {
        style: {**example, "picture": str(picture)} for style, picture in styles.items()
    }
    recipe["painting"]["features"] = str((features or FEATURES).resolve())
    folders = [folder.resolve() for folder in photos or [PHOTOGRAPHS]]
    recipe["data"]["content"] = [str(folder) for folder in folders]
    recipe["data"]["hold_out"] = min(_HELD_OUT, *(_count(folder) // 5 for folder in folders))
    recipe["schedule"]["minutes"] = minutes
    return write_yaml(recipe)


def _count(folder: Path) -> int:
    from obs_stylizer.training.pictures import find_pictures

    return len(find_pictures(folder))
