"""All commands together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import typer

from obs_stylizer import __version__
from obs_stylizer.cli import (
    bench,
    ctl,
    devices,
    doctor,
    hotkeys,
    learn,
    models,
    obs,
    panel,
    presets,
    render,
    run,
    styles,
    training,
)
from obs_stylizer.cli.console import error_console, print_error
from obs_stylizer.errors import StylizerError, UsageError

log = logging.getLogger(__name__)

# Newer typers bring a click of their own: this is its UsageError, whichever it is.
_BadUsage: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="obs-stylizer",
    help="Turns a camera, a screen or a video into a living painting, live, as a virtual camera.",
    epilog="Begin with:  obs-stylizer run",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("run")(run.run)
app.command("render")(render.render)
app.command("devices")(devices.devices)
app.command("doctor")(doctor.doctor)
app.command("panel")(panel.panel)
app.command("hotkeys")(hotkeys.hotkeys)
app.add_typer(presets.app, name="presets")
app.add_typer(styles.app, name="styles")
app.add_typer(models.app, name="models")
app.add_typer(obs.app, name="obs")
app.command("bench")(bench.bench)
app.command("learn")(learn.learn)
# Without a name its commands stand beside the others.
app.add_typer(training.app)


@app.command(
    "ctl",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
def _ctl(context: typer.Context) -> None:
    """Control the daemon that runs: ctl preset NAME, next, strength 0.5, bypass, status, …"""
    raise typer.Exit(ctl.run_ctl(context.args))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"obs-stylizer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False,
        "--version",
        help="Show the version and leave.",
        callback=_show_version,
        is_eager=True,
    ),
) -> None:
    del version


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        result = app(list(arguments), standalone_mode=False)
    except UsageError as error:
        _complain(error)
        return 2
    except StylizerError as error:
        _complain(error)
        return 1
    except _BadUsage as error:
        _explain_usage(error)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        error_console().print("stopped")
        return 1
    except BrokenPipeError:
        return 1
    except Exception as error:
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            raise
        print_error(
            f"unexpected {type(error).__name__}: {error} "
            "(run again with --log-level debug and report what it prints)"
        )
        return 1
    return result if isinstance(result, int) else 0


def _explain_usage(error: Exception) -> None:
    """Say in one line what is wrong with an option; a bare command shows its help."""
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(message, err=True)
        return
    name = context.command_path if context is not None else "obs-stylizer"
    _complain(UsageError(message.rstrip("."), f"see: {name} --help"))


def _complain(error: StylizerError) -> None:
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        log.debug("traceback", exc_info=error)
    print_error(str(error))
