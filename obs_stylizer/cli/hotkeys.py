"""``obs-stylizer hotkeys``: which keys do what, and which of them work."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import typer

from obs_stylizer.cli.console import JSON_OPTION, print_json, print_table
from obs_stylizer.cli.presets import open_library
from obs_stylizer.control.hotkeys.bindings import gather
from obs_stylizer.control.hotkeys.combination import Modifier
from obs_stylizer.control.hotkeys.keys import KEYS
from obs_stylizer.control.hotkeys.report import HotkeyState, Report, read_reports
from obs_stylizer.settings import load_settings, runtime_folder

_OFF_AIR = "not on air"


def hotkeys(
    config: Path | None = typer.Option(None, help="Configuration file instead of your own."),
    keys: bool = typer.Option(False, "--keys", help="List the names of all keys instead."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List all hotkeys, and whether they work in the daemon that runs."""
    if keys:
        _list_keys(as_json)
        return
    reports = read_reports(runtime_folder())
    if not reports:
        reports = [_planned(config)]
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    for report in reports:
        _print(report)
    typer.echo(
        "Change them under “hotkeys:” in config.yaml, or under “hotkey:” in a preset; "
        "names of keys: obs-stylizer hotkeys --keys"
    )


def _planned(config: Path | None) -> Report:
    """Return what a daemon would listen for."""
    settings = load_settings(config)
    trouble = _OFF_AIR if settings.listen_for_keys else "listen_for_keys is false in your settings"
    states = tuple(
        HotkeyState(binding.keys, binding.text, binding.asked_by, binding.problem)
        for binding in gather(settings.hotkeys, open_library())
    )
    return Report(0, 0.0, trouble, states)


def _print(report: Report) -> None:
    title = f"Hotkeys of process {report.pid}" if report.pid else "Hotkeys"
    if report.trouble:
        title += f": {report.trouble}"
    rows = [
        (
            state.shown_keys,
            state.text,
            state.asked_by,
            state.problem or ("works" if not report.trouble else report.trouble),
        )
        for state in report.hotkeys
    ]
    print_table(("keys", "command", "asked for by", "state"), rows, title)


def _list_keys(as_json: bool) -> None:
    modifiers = [str(modifier) for modifier in Modifier]
    if as_json:
        print_json({"modifiers": modifiers, "keys": list(KEYS)})
        return
    typer.echo(f"held: {' '.join(modifiers)}{os.linesep}keys: {' '.join(KEYS)}")
