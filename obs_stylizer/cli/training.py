"""Commands that train, resume, evaluate and export generators.

Everything of torch is imported inside the commands: the rest of the program must start without
it, and most installations have none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import platformdirs
import typer
from rich.console import Console

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels

if TYPE_CHECKING:
    import torch


def feature_file() -> Path:
    """Where fetch-features puts the weights of VGG-19 unless told otherwise."""
    return platformdirs.user_cache_path("obs-stylizer", appauthor=False) / "vgg19.npz"


app = typer.Typer(no_args_is_help=True, help="Train generators and evaluate them.")

RecipeArgument = Annotated[Path, typer.Argument(help="Recipe, a YAML file.")]
RunArgument = Annotated[Path, typer.Argument(help="Run directory of an earlier training.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(help="Weights of VGG-19 or SqueezeNet to use instead of the recipe's file."),
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves it to torch.")]


@app.command()
def train(
    recipe: RecipeArgument,
    run_dir: Annotated[Path, typer.Option(help="New folder for everything the run writes.")],
    dry_run: Annotated[
        bool, typer.Option(help="Check the data and measure one update, but train nothing.")
    ] = False,
    start_from: Annotated[
        Path | None,
        typer.Option(
            help="Run directory, or exported generator (.onnx), whose weights to start with."
        ),
    ] = None,
    features: FeaturesOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Train a generator from a recipe."""
    need_torch()
    if dry_run:
        _dry_run(recipe, device, threads, features)
    else:
        run_training(run_dir, recipe, device, threads, features, start_from)


@app.command()
def resume(
    run: RunArgument,
    features: FeaturesOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Go on with a training exactly where it stopped."""
    need_torch()
    run_training(run, None, device, threads, features)


@app.command()
def evaluate(
    target: Annotated[Path, typer.Argument(help="Run directory, or a model with its recipe.")],
    content: Annotated[
        Path | None, typer.Option(help="Folder of pictures; default: the recipe's held-out ones.")
    ] = None,
    clip: Annotated[list[Path] | None, typer.Option(help="Video file; may be repeated.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the report; default: the run directory.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures at most.")] = 20,
    frames: Annotated[int, typer.Option(min=2, help="How many frames of each clip.")] = 20,
    features: Annotated[
        Path | None,
        typer.Option(help="Weights of VGG-19 (or SqueezeNet, for pictures from noise) to use."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs PHOTO.jpg and what another method made of them, "
            "PHOTO_STYLE.jpg: compares ours with theirs, on a page and by figures."
        ),
    ] = None,
    threads: ThreadsOption = 0,
) -> None:
    """Measure similarity, flicker and speed, and write a page with the pictures."""
    need_torch()
    from obs_stylizer.training.latent_evaluation import (
        evaluate_latent_model,
        evaluate_latent_run,
        makes_pictures_from_noise,
    )
    from obs_stylizer.training.run_evaluation import evaluate_model, evaluate_run
    from obs_stylizer.training.segmentation.evaluation import evaluate_mask, is_mask_recipe

    _set_threads(threads)
    clips = clip or []
    folder = output or (target if target.is_dir() else target.parent / f"{target.stem}-evaluation")
    if beside is not None:
        _compare(target, beside, folder, features)
        return
    if is_mask_recipe(target):
        page, summary = evaluate_mask(target, folder, clips, pictures, frames)
    elif makes_pictures_from_noise(target):
        measure_latent = evaluate_latent_run if target.is_dir() else evaluate_latent_model
        page, summary = measure_latent(target, folder, content, features)
    else:
        measure = evaluate_run if target.is_dir() else evaluate_model
        page, summary = measure(target, folder, content, clips, pictures, frames, features)
    for name, value in summary.items():
        typer.echo(f"{name:28}{value:10.4f}")
    typer.echo(f"written: {page}")


def _compare(target: Path, others: Path, output: Path, features: Path | None) -> None:
    from obs_stylizer.training.run_evaluation import compare_beside

    page, compared = compare_beside(target, others, output, features)
    for entry in compared:
        typer.echo(f"{entry.other.style} on {entry.other.photo.name}:")
        for name, (ours, theirs) in entry.figures.items():
            typer.echo(f"  {name:24}{ours:8.3f}   theirs {theirs:8.3f}")
    typer.echo(f"written: {page}")


@app.command()
def export(
    run: Annotated[
        Path,
        typer.Argument(help="Run directory, or the recipe of a filter, which needs no training."),
    ],
    output: Annotated[
        Path | None, typer.Option(help="File to write; default: NAME.onnx in the run directory.")
    ] = None,
    int8: Annotated[bool, typer.Option(help="Also write NAME.int8.onnx.")] = True,
    f16: Annotated[bool, typer.Option(help="Also write NAME.f16.onnx, for GPUs.")] = False,
) -> None:
    """Write a run's generator as an ONNX file and check it against torch.

    For example: obs-stylizer export runs/paintings --output onnx/paintings.onnx, or
    obs-stylizer export onnx/pop-art.yaml
    """
    need_torch()
    if run.is_file():
        _export_filter(run, output or run.with_suffix(".onnx"))
        return
    from obs_stylizer.training.export import PARITY_SIZES, export_run, saved_quality
    from obs_stylizer.training.export_precision import compare_bfloat16
    from obs_stylizer.training.quantization import compare, quantize
    from obs_stylizer.training.run_directory import RunDirectory
    from obs_stylizer.training.run_evaluation import calibration_pictures, held_out_pictures

    opened = RunDirectory.open(run)
    target = output or run / f"{opened.recipe.name}.onnx"
    if opened.recipe.generate is not None:
        from obs_stylizer.training.latent_export import export_latent_run

        found = export_latent_run(opened, target, saved_quality(opened))
        typer.echo(f"within {found.largest}/255 of torch, mean {found.mean:.4f}")
        typer.echo(f"written: {target} ({target.stat().st_size / 1e6:.2f} MB)")
        return
    held_out = held_out_pictures(opened.recipe, 6)
    if opened.recipe.segmentation is not None:
        from obs_stylizer.training.segmentation import export as of_masks

        samples = of_masks.calibration_frames(opened.recipe)
        quality = saved_quality(opened)
        of_each = of_masks.export_mask_run(opened, target, held_out, samples, quality)
        for size, found in zip(of_masks.PARITY_SIZES, of_each, strict=True):
            typer.echo(
                f"{size}: in float within {found.largest}/255 of torch, mean {found.mean:.4f}"
            )
        typer.echo(f"written: {target} ({target.stat().st_size / 1e6:.2f} MB)")
        return
    parity = export_run(opened, target, held_out, saved_quality(opened))
    for size, found in zip(PARITY_SIZES, parity, strict=True):
        typer.echo(f"{size}: within {found.largest}/255 of torch, mean {found.mean:.4f}")
    typer.echo(f"written: {target} ({target.stat().st_size / 1e6:.2f} MB)")
    for name, decibels in compare_bfloat16(target, held_out).items():
        typer.echo(f"{name}: bfloat16 would leave {decibels:.1f} dB of float (rounding simulated)")
    if int8:
        small = target.with_name(f"{target.stem}.int8.onnx")
        quantize(target, small, calibration_pictures(opened.recipe))
        for name, decibels in compare(target, small, held_out).items():
            typer.echo(f"{name}: int8 at {decibels:.1f} dB of float")
        typer.echo(f"written: {small} ({small.stat().st_size / 1e6:.2f} MB)")

    if opened.recipe.finish is not None:
        from obs_stylizer.training.filter_export import finish_model

        for path in (target, target.with_name(f"{target.stem}.int8.onnx")):
            if path.exists():
                finish_model(path, opened.recipe.finish)
        typer.echo("finished by the recipe's filter")

    if f16:
        _export_half(target, held_out)


def _export_filter(recipe: Path, output: Path) -> None:
    from obs_stylizer.training.export import PARITY_SIZES
    from obs_stylizer.training.filter_export import export_filter

    # Two frames that hold every colour and both kinds of areas, even and busy.
    ramps = np.indices((360, 640)).sum(0)
    even = np.stack([ramps * share % 256 for share in (1, 2, 3)], -1).astype(np.uint8)
    busy = np.random.default_rng(0).integers(0, 256, even.shape, np.uint8)
    shares = export_filter(recipe, output, [even, busy])
    for size, share in zip(PARITY_SIZES, shares, strict=True):
        typer.echo(f"{size}: {100 * share:.3f} % of the pixels otherwise than by torch")
    typer.echo(f"written: {output} ({output.stat().st_size / 1e6:.2f} MB)")


@app.command("fetch-features")
def fetch_features(
    output: Annotated[
        Path | None, typer.Option(help="File to write, NAME.npz; default: where learn looks.")
    ] = None,
) -> None:
    """Fetch the published VGG-19 (575 MB) that painting recipes need, and check its hash."""
    need_torch()
    output = output or feature_file()
    output.parent.mkdir(parents=True, exist_ok=True)
    from obs_stylizer.training.published_features import fetch_vgg19

    fetch_vgg19(output)
    typer.echo(f"written: {output} (name it in painting.features or with --features)")


def _export_half(target: Path, pictures: list[Pixels]) -> None:
    from obs_stylizer.training.export_precision import compare_halved, halve

    half = target.with_name(f"{target.stem}.f16.onnx")
    halve(target, half)
    for name, decibels in compare_halved(target, half, pictures).items():
        typer.echo(f"{name}: float16 at {decibels:.1f} dB of float32")
    typer.echo(f"written: {half} ({half.stat().st_size / 1e6:.2f} MB)")


def run_training(
    path: Path,
    recipe: Path | None,
    device: str,
    threads: int,
    features: Path | None = None,
    start_from: Path | None = None,
) -> bool:
    """Start a run in ``path`` from ``recipe``, or go on with the one there, to its end.

    Returns:
        False where it was stopped before the end.
    """
    from obs_stylizer.training.distributed import joined_world
    from obs_stylizer.training.monitoring import ProgressBar, SilentProgress
    from obs_stylizer.training.run_directory import RunDirectory
    from obs_stylizer.training.trainer import Trainer

    _set_threads(threads)
    with joined_world() as world:
        if recipe is not None and world.leads:
            RunDirectory.create(path, recipe)
        world.wait()
        run = RunDirectory.open(path)
        trainer = Trainer(run, _device(device, world.local_rank), world, features)
        if recipe is None:
            trainer.resume()
        if start_from is not None and start_from.suffix == ".onnx":
            trainer.start_from_model(start_from)
        elif start_from is not None:
            trainer.start_from(RunDirectory.open(start_from))
        if world.leads:
            for line in trainer.objective.check():
                typer.echo(line)
        console = Console(stderr=True)
        outcome = trainer.train(progress=ProgressBar(console) if world.leads else SilentProgress())
    if world.leads:
        state = "finished" if outcome.finished else "stopped"
        typer.echo(
            f"{state} after {outcome.step} updates and {outcome.seconds / 60:.1f} minutes: {path}"
        )
    return outcome.finished


def _dry_run(recipe: Path, device: str, threads: int, features: Path | None) -> None:
    import tempfile

    from obs_stylizer.training.dry_run import dry_run
    from obs_stylizer.training.run_directory import RunDirectory
    from obs_stylizer.training.trainer import Trainer

    _set_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        run = RunDirectory.create(Path(folder) / "run", recipe)
        for line in dry_run(Trainer(run, _device(device, 0), features=features)):
            typer.echo(line)


def need_torch() -> None:
    """Say how to get torch where it is missing."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise TrainingError(
            "training needs torch, which is not installed",
            "install it with: pip install 'obs-stylizer[training]'",
        )


def _set_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(min(threads, 4 * (os.cpu_count() or 1)))


def _device(name: str, local_rank: int) -> torch.device:
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank)
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as cause:
        raise TrainingError(
            f"the device {name} cannot be used: {str(cause).splitlines()[0]}", "try --device cpu"
        ) from cause
    return device
