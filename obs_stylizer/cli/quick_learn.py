"""``obs-stylizer learn --quick``: the style of one picture, in about a minute."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from obs_stylizer.cli.learning_session import LearningReport, Orders, Sitting, begin_learning
from obs_stylizer.errors import UsageError
from obs_stylizer.inference.locate import find_model
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.style_packs import StylePack, installed_packs, styles_folder
from obs_stylizer.inference.style_rows import row_text
from obs_stylizer.styling.installed_styles import (
    generator_of,
    install,
    refuse_taken,
    style_title,
)

if TYPE_CHECKING:
    from obs_stylizer.training.quick_learning import Progress, QuickLearner

GENERATOR: Final = "paintings"
SECONDS: Final = 90.0
_LEAST_STEPS: Final = 3
ENOUGH_STEPS: Final = 100
"""Samples after which a row has mostly been learnt; each takes a core a quarter of a second where
it computes in bfloat16."""


def learn_quickly(
    picture: Path,
    name: str,
    seconds: float,
    *,
    generator: str = GENERATOR,
    more: bool = False,
    preview: Path | None = None,
    as_json: bool = False,
    threads: int = 0,
) -> None:
    """Learn the row of a picture's style, and keep it as a style pack and a preset.

    Args:
        picture: of the style, or a film in it.
        name: of the style.
        seconds: how long to learn.
        generator: name or path of the generator whose style it will be.
        more: go on from the installed style of that name.
        preview: a picture to show the style on as it is learnt.
        as_json: report on the output stream, a JSON object a line, and take a line ``keep`` on the
            input stream for the end; the input stream's end forgets the style.
        threads: of the processor; 0 for torch's own choice.

    Raises:
        TrainingError: torch or room is missing, the picture has no style, or the generator takes
            no rows.
        ModelError: the pack cannot be kept.
        UsageError: the name is taken.
    """
    began = time.monotonic()
    # Where a program is to be told, it is a daemon on air.
    begin_learning(styles_folder(), on_air=as_json)
    model = load_native_model(find_model(generator))
    row = _known_row(name, model) if more else None
    if not more:
        refuse_taken(name, model)
    import torch

    from obs_stylizer.training.quick_learning import QuickLearner
    from obs_stylizer.training.style_pictures import read_style

    if threads:
        torch.set_num_threads(threads)
    orders = Orders(listen=as_json)
    learner = QuickLearner(model.path, read_style(picture), row=row)
    report = LearningReport(learner.paint, preview, as_json=as_json)
    # What loading took belongs to the time that the user gave.
    sitting = Sitting(max(seconds - (time.monotonic() - began), seconds / 2), ENOUGH_STEPS)
    _show(report, learner.progress, 0.0, seconds)
    try:
        while not orders.keep:
            if orders.forget or orders.gone:
                return
            share = sitting.share(learner.progress.step)
            if share >= 1:
                break
            _show(report, learner.step(share), share, sitting.seconds_left(share))
    except KeyboardInterrupt:
        if as_json or learner.progress.step < _LEAST_STEPS:
            raise
        typer.echo("kept as far as it was learnt", err=True)
    pack = _pack(learner, name, report.thumbnail())
    preset = install(pack, replace=more)
    report.end_line()
    if as_json:
        report.write(state="learnt", name=name, preset=str(preset))
        return
    typer.echo(f"learnt: {name}, {_told(learner.progress)}")
    typer.echo(f"written: {preset}")
    typer.echo(f"On air with it:  obs-stylizer run --preset {name}")
    typer.echo(f"To pass it on:  obs-stylizer styles pack {name}")


def _known_row(name: str, model: NativeModel) -> Any:
    pack = installed_packs().all().get(name)
    if pack is None:
        raise UsageError(f"there is no installed style {name} to go on from", "leave out --more")
    if generator_of(pack).spec.weights_hash != model.spec.weights_hash:
        raise UsageError(f"the style {name} belongs to {pack.generator}", "leave out --more")
    return pack.values


def _pack(learner: QuickLearner, name: str, thumbnail: bytes) -> StylePack:
    progress = learner.progress
    return StylePack(
        name=name,
        title=style_title(name),
        description="Learnt from one picture.",
        generator=learner.spec.name,
        weights_hash=learner.spec.weights_hash,
        row=row_text(learner.row),
        thumbnail=base64.b64encode(thumbnail).decode("ascii"),
        quality={
            "samples": progress.step,
            "broad_style_ratio": round(progress.style_ratio, 3),
            "broad_content_kept": round(progress.content_kept, 3),
        },
    )


def _show(report: LearningReport, progress: Progress, share: float, seconds_left: float) -> None:
    figures = {
        "style_ratio": round(progress.style_ratio, 3),
        "content_kept": round(progress.content_kept, 3),
        "samples": progress.step,
    }
    report.show(figures, lambda: _told(progress), share, seconds_left)


def _told(progress: Progress) -> str:
    return (
        f"style ratio {progress.style_ratio:.2f}, content kept {progress.content_kept:.2f}, "
        f"{progress.step} samples"
    )
