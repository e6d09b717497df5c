"""Your own style by one command: train, measure, export, and make a preset of it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from obs_stylizer.cli import quick_learn, training
from obs_stylizer.errors import TrainingError, UsageError
from obs_stylizer.inference.locate import model_files, model_folders
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import preset_folders
from obs_stylizer.yaml_text import read_yaml, write_yaml

_RECIPE = Path(training.__file__).parent.parent / "training" / "recipes" / "one-painting.yaml"
_HELD_OUT = 10


def learn(
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures whose styles to learn; each becomes a preset.")
    ],
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Learn one picture, or the look of a film, in about a minute, as one more style "
            "of a bundled generator.",
        ),
    ] = False,
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of ordinary photographs to learn on, a hundred or more; not with --quick."
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
        float, typer.Option(min=1, max=3600, help="With --quick: how long to learn.")
    ] = 90,
    generator: Annotated[
        str, typer.Option(help="With --quick: whose style it becomes.")
    ] = quick_learn.GENERATOR,
    more: Annotated[
        bool, typer.Option("--more", help="With --quick: go on with a style that was learnt.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="With --quick: picture for the style's thumbnail.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --quick: report JSON lines, for programs."),
    ] = False,
    minutes: Annotated[
        float, typer.Option(min=0.05, help="How long to train; more pictures need more.")
    ] = 15,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the training; NAME-training if left out.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="VGG-19 weights, if fetch-features put them elsewhere.")
    ] = None,
    device: training.DeviceOption = "auto",
    threads: training.ThreadsOption = 0,
) -> None:
    """Learn the style of your own pictures: train, measure, export, and make presets.

    In a minute, as one more style of the paintings:
    obs-stylizer learn --quick my-drawing.jpg

    As a generator of its own, better and in a quarter of an hour:
    obs-stylizer learn my-drawing.jpg --photos ~/Pictures

    Ctrl-C saves; the same command (with --quick and --more) goes on from there.
    """
    training.need_torch()
    styles = _styles(pictures)
    name = _word(name) if name else next(iter(styles))
    if quick:
        if len(pictures) > 1:
            raise UsageError("--quick learns one picture", "run it once for each")
        quick_learn.learn_quickly(
            pictures[0],
            name,
            seconds,
            generator=generator,
            more=more,
            preview=preview,
            as_json=as_json,
            threads=threads,
        )
        return
    if not photos:
        raise UsageError(
            "learning needs a folder of photographs",
            "name one with --photos, or learn one picture without any: --quick",
        )
    folder = run_dir or Path(f"{name}-training")
    weights = features or training.feature_file()
    if not weights.is_file():
        raise TrainingError(
            f"the features of VGG-19 are not at {weights}",
            "fetch them once (575 MB): obs-stylizer fetch-features",
        )
    _refuse_taken(name, styles)
    if folder.exists():
        finished = training.run_training(folder, None, device, threads, weights)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            recipe = Path(scratch) / f"{name}.yaml"
            recipe.write_text(_recipe(name, styles, photos, minutes, weights), encoding="utf-8")
            finished = training.run_training(folder, recipe, device, threads, weights)
    if not finished:
        typer.echo("The same command goes on from there.")
        return
    training.evaluate(folder, features=weights, threads=threads)
    _, own_models = model_folders()
    own_models.mkdir(parents=True, exist_ok=True)
    training.export(folder, own_models / f"{name}.onnx")
    for path in _write_presets(name, styles):
        typer.echo(f"written: {path}")
    typer.echo(f"On air with it:  obs-stylizer run --preset {next(iter(styles))}")


def _word(text: str) -> str:
    """Return ``text`` as the name of a style: lower-case words joined by hyphens."""
    word = "-".join(re.findall(r"[a-z0-9]+", text.lower()))
    if not word:
        raise UsageError(f"“{text}” gives no name", "name it with letters from a to z or digits")
    return word


def _styles(pictures: list[Path]) -> dict[str, Path]:
    styles: dict[str, Path] = {}
    for picture in pictures:
        if not picture.is_file():
            raise UsageError(f"there is no picture {picture}", "check the path")
        word = _word(picture.stem)
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
    bundled, own = preset_folders()
    library = PresetLibrary([bundled, own], bundled)
    library.refresh()
    taken = [style for style in styles if style in library.names()]
    if taken:
        raise UsageError(
            f"there is a preset {taken[0]} already", "rename the picture, or remove the preset"
        )


def _recipe(
    name: str, styles: dict[str, Path], photos: list[Path], minutes: float, features: Path
) -> str:
    """Return the bundled recipe for one painting, with other pictures."""
    recipe, _ = read_yaml(_RECIPE.read_text(encoding="utf-8"), _RECIPE)
    title = name.replace("-", " ").capitalize()
    recipe.update(name=name, title=title, licence="unknown")
    recipe["painting"]["styles"] = {
        style: {"picture": str(picture)} for style, picture in styles.items()
    }
    recipe["painting"]["features"] = str(features.resolve())
    recipe["data"]["content"] = [str(folder.resolve()) for folder in photos]
    recipe["data"]["hold_out"] = min(_HELD_OUT, *(_count(folder) // 5 for folder in photos))
    recipe["schedule"]["minutes"] = minutes
    return write_yaml(recipe)


def _count(folder: Path) -> int:
    from obs_stylizer.training.pictures import find_pictures

    return len(find_pictures(folder))


def _write_presets(name: str, styles: dict[str, Path]) -> list[Path]:
    _, folder = preset_folders()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for style, picture in styles.items():
        preset = {
            "title": style.replace("-", " ").capitalize(),
            "description": f"In the style of {picture.name}.",
            "model": name,
            "styles": {style: 1},
            "process_size": "640x360",
            "crossfade_ms": 400,
        }
        path = folder / f"{style}.yaml"
        path.write_text(write_yaml(preset), "utf-8")
        written.append(path)
    return written
