"""``obs-stylizer models``: list, inspect, adopt."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from obs_stylizer.cli.console import JSON_OPTION, error_console, print_json, print_table
from obs_stylizer.errors import ModelError, StylizerError, UsageError
from obs_stylizer.frames import MAX_SIDE, MIN_SIDE, FrameSize
from obs_stylizer.inference.convention import ChannelOrder, Layout, ValueRange
from obs_stylizer.inference.session import Precision, Provider, SessionOptions

if TYPE_CHECKING:
    from obs_stylizer.inference.adoption_plan import AdoptionPlan
    from obs_stylizer.inference.benchmark import Timing
    from obs_stylizer.inference.model_spec import ModelSpec
    from obs_stylizer.inference.summary import ModelSummary

app = typer.Typer(help="The generators there are.", no_args_is_help=True)

_SIZE = "640x360"


@app.command("list", epilog="Example:  obs-stylizer models list --json")
def list_models(as_json: bool = JSON_OPTION) -> None:
    """List bundled generators and your own."""
    from obs_stylizer.inference.locate import model_files, model_folders
    from obs_stylizer.inference.summary import summarise

    bundled, own = model_folders()
    found: list[tuple[str, ModelSummary, bool]] = []
    problems: dict[str, str] = {}
    for name, path in model_files().items():
        try:
            summary = summarise(path)
            if summary.spec is None and summary.latent is None:
                raise ModelError(
                    f"{path} is no native generator",
                    f"obs-stylizer models adopt {path} --output NAME.onnx",
                )
        except ModelError as error:
            problems[str(path)] = str(error)
            continue
        found.append((name, summary, path.parent == bundled))
    if as_json:
        models = [
            {
                "name": name,
                "bundled": is_bundled,
                "source": "" if summary.latent is None else f"generator:{name}",
                **_as_dict(summary),
            }
            for name, summary, is_bundled in found
        ]
        print_json({"models": models, "errors": problems})
        return
    rows = [
        (*_list_row(name, summary), "bundled" if is_bundled else "yours")
        for name, summary, is_bundled in found
    ]
    columns = ("name", "title", "styles", "variants", "size", "licence", "from")
    if rows:
        print_table(columns, rows)
    else:
        typer.echo("There is no generator.")
    for problem in problems.values():
        typer.echo(f"left out: {problem}")
    typer.echo(f"Your own generators go to {own}")


@app.command("inspect", epilog="Example:  obs-stylizer models inspect paintings")
def inspect_model(
    model: str = typer.Argument(help="An ONNX file, or the name of a generator."),
    size: str = typer.Option(_SIZE, metavar="WxH", help="Frame size to time it at."),
    provider: Provider = typer.Option(Provider.AUTO, help="What to time it on."),
    device: str = typer.Option("", help="Which of several adapters, by name or index."),
    precision: Precision = typer.Option(Precision.AUTO, help="Number format to time it in."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Tell what a model is, what it takes and gives, and how quick it is here."""
    from obs_stylizer.inference.benchmark import time_model
    from obs_stylizer.inference.locate import find_model
    from obs_stylizer.inference.summary import summarise

    path = find_model(model)
    summary = summarise(path)
    timing: Timing | None = None
    if summary.spec is not None and not summary.finds_people:
        options = SessionOptions(provider, device, precision)
        timing = time_model(path, FrameSize.parse(size), options)
    if as_json:
        print_json({**_as_dict(summary), "timing": None if timing is None else asdict(timing)})
        return
    rows = [
        ("file", f"{path} ({summary.bytes / 1e6:.1f} MB, sha256 {summary.sha256[:12]})"),
        *_spec_rows(summary, model),
        *(("input", str(tensor)) for tensor in summary.inputs),
        *(("output", str(tensor)) for tensor in summary.outputs),
        ("operators", f"version {summary.opset}: " + _counted(summary.nodes)),
        ("parameters", f"{summary.parameters / 1e6:.2f} million"),
    ]
    if timing is not None:
        rows += [
            ("runs on", f"{timing.runs_on}: {timing.runs_on.reason}"),
            ("time", f"{timing.median_ms:.1f} ms a frame of {timing.frame_size}, median"),
        ]
    print_table(("", path.stem), rows)


@app.command(
    "adopt",
    epilog="Example:  obs-stylizer models adopt downloaded.onnx --output my-style.onnx",
)
def adopt_model(
    file: Path = typer.Argument(help="A foreign ONNX model that turns a picture into a picture."),
    output: Path = typer.Option(help="The native model to write, ending in .onnx."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask whether the plan is right."),
    force: bool = typer.Option(False, "--force", help="Overwrite --output if it exists."),
    layout: Layout | None = typer.Option(None, help="Order of its dimensions."),
    value_range: ValueRange | None = typer.Option(
        None, "--range", help="Numbers it takes: 0..1, -1..1, 0..255, or less ImageNet's mean."
    ),
    output_range: ValueRange | None = typer.Option(None, help="Numbers it gives."),
    channels: ChannelOrder | None = typer.Option(None, help="Order of its colours."),
    multiple: int | None = typer.Option(
        None, min=1, max=256, help="Its width and height must be multiples of this."
    ),
    size: str = typer.Option(
        "", metavar="WxH", help="The one size it works at, where that cannot be found out."
    ),
    fix: list[str] = typer.Option(
        [], metavar="NAME=VALUE", help="Hold an input beside the picture at a value; repeatable."
    ),
    output_tensor: str = typer.Option("", help="Which of several outputs is the picture."),
    title: str = typer.Option("", help="Name for people."),
    licence: str = typer.Option("", help="The model's licence, as in MIT."),
    author: str = typer.Option("", help="Who made it."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a foreign model native, after showing how it will be read."""
    from obs_stylizer.inference.adopt import adopt
    from obs_stylizer.inference.adoption_plan import Overrides, plan_adoption
    from obs_stylizer.inference.fixed_inputs import parse_fixed

    overrides = Overrides(
        layout,
        value_range,
        output_range,
        channels,
        multiple,
        _model_size(size) if size else None,
        parse_fixed(fix),
    )
    with error_console().status("showing pictures to the model"):
        plan = plan_adoption(file, overrides, output_tensor)
    if not as_json:
        _print_plan(plan)
    if not yes:
        _ask(as_json)
    spec = adopt(plan, output, title=title, licence=licence, author=author, replace=force)
    if as_json:
        findings = [asdict(finding) for finding in plan.findings]
        print_json(
            {
                "output": str(output),
                "plan": findings,
                "changes": list(plan.changes),
                "spec": spec.model_dump(),
            }
        )
        return
    but = ", changed as said above" if plan.changes else ""
    typer.echo(f"{output} is native now and gives what {file.name} gives{but}.")
    if not licence:
        typer.echo("Its licence is unknown; say it with --licence if you pass the file on.")


def _print_plan(plan: AdoptionPlan) -> None:
    print_table(
        ("", "found", "sure?", "how"),
        [(f.name, f.value, f.confidence, f.why) for f in plan.findings],
        f"{plan.model.path.name}: {plan.model.input.name} to {plan.model.output.name}",
    )
    if plan.model.other_outputs:
        typer.echo(f"Left out: {', '.join(plan.model.other_outputs)}")
    for change in plan.changes:
        typer.echo(f"Changed: {change}.")
    for finding in plan.doubtful:
        typer.echo(f"Look twice: {finding.name} is only a guess.")


def _model_size(text: str) -> FrameSize:
    """Read the size of a model, which need not be one that video can have.

    Raises:
        UsageError: not of the form WIDTHxHEIGHT, or a side beyond what frames can have.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*[xX×]\s*(\d{1,5})\s*", text)
    if match is None or not all(0 < int(side) <= MAX_SIDE for side in match.groups()):
        raise UsageError(
            f"“{text}” is no size of a model", "write it as WIDTHxHEIGHT, as in --size 640x480"
        )
    return FrameSize(int(match[1]), int(match[2]))


def _ask(as_json: bool) -> None:
    """Have the plan confirmed by a person.

    Raises:
        UsageError: nobody is there to be asked.
        StylizerError: the person says no.
    """
    if as_json or not _is_terminal():
        raise UsageError(
            "the plan must be looked at before it is used", "run it in a terminal, or add --yes"
        )
    if not typer.confirm("Is that right?"):
        raise StylizerError(
            "nothing was written", "set what is wrong, as in --range signed --channels bgr"
        )


def _is_terminal() -> bool:
    """Whether a person can see the plan and answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _list_row(name: str, summary: ModelSummary) -> tuple[str, ...]:
    size = f"{summary.bytes / 1e6:.1f} MB"
    if summary.latent is not None:
        latent = summary.latent
        return (name, latent.title, f"source: generator:{name}", "", size, latent.licence)
    spec = summary.spec
    assert spec is not None
    precisions = ", ".join((spec.precision, *summary.variants))
    return (name, spec.title, ", ".join(spec.styles) or "one", precisions, size, spec.licence)


def _spec_rows(summary: ModelSummary, model: str) -> list[tuple[str, str]]:
    """What it says about itself. ``model`` is how the user called it."""
    spec, latent = summary.spec, summary.latent
    if latent is not None:
        rows = [
            ("native", f"this makes pictures from noise: use it as --source generator:{model}"),
            ("title", latent.title),
            ("licence", latent.licence),
            ("author", latent.author),
            ("trained on", latent.training_data),
            ("recipe", latent.recipe_hash[:12]),
            ("quality", _figures(latent.quality)),
        ]
        return [row for row in rows if row[1]]
    if spec is None:
        return [("native", f"no; obs-stylizer models adopt {summary.path} --output NAME.onnx")]
    rows = [
        ("native", f"{spec.name} {spec.version}, {spec.precision}"),
        ("title", spec.title),
        ("styles", ", ".join(spec.styles)),
        ("licence", spec.licence),
        ("author", spec.author),
        ("trained on", spec.training_data),
        ("adopted from", spec.adopted_from),
        ("recipe", spec.recipe_hash[:12]),
        ("sizes", _sizes(spec)),
        ("variants", ", ".join(summary.variants)),
        ("quality", _figures(spec.quality)),
    ]
    return [row for row in rows if row[1]]


def _sizes(spec: ModelSpec) -> str:
    text = f"multiples of {spec.size_multiple}"
    least = spec.least_side
    return f"{text}, at least {least}" if least > max(spec.size_multiple, MIN_SIDE) else text


def _figures(quality: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in quality.items())


def _counted(nodes: dict[str, int]) -> str:
    shown = [f"{count} {name}" for name, count in list(nodes.items())[:8]]
    return ", ".join(shown) + (", …" if len(nodes) > len(shown) else "")


def _as_dict(summary: ModelSummary) -> dict[str, object]:
    spec, latent = summary.spec, summary.latent
    return {
        "file": str(summary.path),
        "bytes": summary.bytes,
        "sha256": summary.sha256,
        "opset": summary.opset,
        "parameters": summary.parameters,
        "nodes": summary.nodes,
        "inputs": [asdict(tensor) for tensor in summary.inputs],
        "outputs": [asdict(tensor) for tensor in summary.outputs],
        "variants": list(summary.variants),
        "spec": None if spec is None else spec.model_dump(),
        "latent": None if latent is None else latent.model_dump(),
    }
