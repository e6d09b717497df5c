"""``obs-stylizer obs``: bring OBS and the daemon together, and see how they stand."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import obs_stylizer
from obs_stylizer.cli.console import JSON_OPTION, print_json, print_table
from obs_stylizer.cli.presets import open_library
from obs_stylizer.errors import ObsError, UsageError
from obs_stylizer.settings import ObsSettings, is_this_machine, load_settings

if TYPE_CHECKING:
    from obs_stylizer.control.obs.report import ObsReport

app = typer.Typer(help="OBS: add our picture to it, see what is mapped.", no_args_is_help=True)

_CONFIG = typer.Option(None, help="Configuration file instead of your own.")


@app.command("setup", epilog="Example:  obs-stylizer obs setup --scene Gaming")
def set_up(
    scene: str = typer.Option("", help="OBS scene; the one on program if left out."),
    filtered: str = typer.Option(
        "", "--filter", metavar="SOURCE", help="Put our filter on a source, group or scene instead."
    ),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
    config: Path | None = _CONFIG,
) -> None:
    """Add our picture to a scene of OBS, or our filter to a source. Asks first; may be repeated."""
    if filtered:
        if scene:
            raise UsageError("--scene and --filter are two different things", "give one of them")
        _set_filter_up(filtered, yes, load_settings(config).obs)
        return
    from obs_stylizer.control.obs.setup import carry_out, feed_for, make_plan
    from obs_stylizer.control.obs.visit import visit
    from obs_stylizer.sinks.listing import list_virtual_cameras
    from obs_stylizer.web.token import read_or_make_token

    settings = load_settings(config)
    cameras = list_virtual_cameras()
    feed, why = feed_for(
        settings, [camera.device for camera in cameras], cameras.reason, read_or_make_token()
    )
    with visit(settings.obs) as connection:
        plan = make_plan(connection, feed, scene)
        if not plan.steps:
            typer.echo(f"OBS shows {feed.about} in “{plan.scene}” already; nothing to do.")
            return
        typer.echo(f"OBS is to show {feed.about} ({why}). This will")
        for step in plan.steps:
            typer.echo(f"  - {step}")
        if not yes and not _confirmed():
            typer.echo("Nothing was changed.")
            raise typer.Exit(1)
        carry_out(connection, plan)
    typer.echo("Done. It appears as soon as the daemon is on air: obs-stylizer run")


def _set_filter_up(source: str, yes: bool, settings: ObsSettings) -> None:
    """Add the filter in a running OBS; where none runs, script and filter in its files."""
    from obs_stylizer.control.obs import filter_setup
    from obs_stylizer.control.obs.visit import visit

    script = filter_script_file()
    try:
        with visit(settings) as connection:
            plan = filter_setup.plan_in_obs(connection, source, script)
            if _agreed(plan.steps, source, yes):
                filter_setup.carry_out_in_obs(connection, plan)
    except ObsError as error:
        if error.code or filter_setup.runs_here() or not is_this_machine(settings.host):
            raise
        collection = filter_setup.SceneCollection()
        plan = collection.plan(source, script)
        typer.echo(f"OBS does not run; its scene collection is {collection.path}")
        if _agreed(plan.steps, source, yes):
            kept = collection.carry_out(plan, script)
            typer.echo(f"As it was before: {kept}")
    typer.echo(f'To go on air with it: obs-stylizer run --source "obs-filter:{source}"')


def _agreed(steps: tuple[str, ...], source: str, yes: bool) -> bool:
    """Show what is to be done, and ask; False where there is nothing to do."""
    if not steps:
        typer.echo(f"The filter is on “{source}” already; nothing to do.")
        return False
    typer.echo("This will")
    for step in steps:
        typer.echo(f"  - {step}")
    if not yes and not _confirmed():
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)
    return True


@app.command("status", epilog="Example:  obs-stylizer obs status --json")
def status(config: Path | None = _CONFIG, as_json: bool = JSON_OPTION) -> None:
    """Say whether OBS is there, what its scenes do here, and what is missing."""
    from obs_stylizer.control.obs.report import make_report
    from obs_stylizer.control.obs.sound_sync import KeptOffsets, kept_offsets_file
    from obs_stylizer.control.obs.visit import visit

    settings = load_settings(config).obs
    kept = KeptOffsets(kept_offsets_file(), f"{settings.host}:{settings.port}")
    with visit(settings) as connection:
        report = make_report(connection, settings, open_library().names(), kept)
    if as_json:
        print_json(asdict(report))
    else:
        _print_report(report)


def script_file() -> Path:
    """Return where the script for OBS is: beside the package, wherever that was put."""
    return Path(obs_stylizer.__file__).parent.parent / "installer" / "obs" / "obs-stylizer.lua"


def filter_script_file() -> Path:
    """Return where the script of the filter is."""
    return script_file().with_name("obs-stylizer-filter.lua")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to be asked", "run it in a terminal, or with --yes")
    return typer.confirm("Go ahead?")


def _print_report(report: ObsReport) -> None:
    typer.echo(f"OBS {report.obs} (obs-websocket {report.websocket}): connected")
    if report.preview:
        typer.echo(f"Studio mode; preview: {report.preview}")
    rows = [
        (
            name,
            "on program" if name == report.program else "",
            effect,
            "yes" if name in report.shown_in else "",
        )
        for name, effect in report.scenes.items()
    ]
    print_table(("scene", "", "here", "shows us"), rows)
    for name, offset in report.sound.items():
        if offset is not None:
            typer.echo(f"Sound of “{name}”: {offset} ms late")
    if report.script_hotkeys:
        typer.echo(f"OBS script: {report.script_hotkeys} hotkeys (OBS, Settings, Hotkeys)")
    else:
        typer.echo(f"OBS script: not loaded (add it in OBS, Tools, Scripts: {script_file()})")
    if report.filter_script:
        typer.echo(
            "OBS filter: its script is loaded" + ("" if report.filters else "; on no source")
        )
    else:
        typer.echo(f"OBS filter: not loaded (OBS, Tools, Scripts: {filter_script_file()})")
    for name, state in report.filters.items():
        typer.echo(f"  {name}: {state}")
    for hint in report.hints:
        typer.echo(f"! {hint}")
