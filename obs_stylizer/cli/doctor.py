"""``obs-stylizer doctor``: one table of what is right and wrong here, with the remedies."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from obs_stylizer.cli.console import JSON_OPTION, print_error, print_json
from obs_stylizer.doctor.findings import Finding, Report, State

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAULT: "bold red"}
_STATE_WIDTH = 9
_NAME_WIDTH = 24
_NARROWEST = 24


def doctor(
    config: Path | None = typer.Option(None, help="Configuration file instead of your own."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Try everything out here, and say what to do about what is wrong.

    Takes some seconds, changes nothing, and leaves a running obs-stylizer alone. Exit code 1 if
    something is at fault.
    """
    from obs_stylizer.doctor.examination import examine

    report = examine(config)
    _show(report, as_json)
    if report.count(State.FAULT):
        raise typer.Exit(1)


def explain_broken_import(error: ImportError, arguments: Sequence[str]) -> int:
    """Let the doctor speak where the program's commands cannot even be loaded; return 1."""
    from obs_stylizer.doctor.examination import examine

    print_error(f"a part of obs-stylizer does not load: {error}")
    _show(examine(), as_json="--json" in arguments)
    return 1


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(report))
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Into a file, Windows has no arrows and no typographic quotes.
            sys.stdout.reconfigure(errors="replace")
        console = Console()
        for line in table(report, console.width):
            # Not wrapped again: a command that is copied must stay one line.
            console.print(line, soft_wrap=True, highlight=False)
    sys.stdout.flush()


def as_dict(report: Report) -> dict[str, object]:
    """The report for programs."""
    return {
        "seconds": round(report.seconds, 2),
        "faults": report.count(State.FAULT),
        "warnings": report.count(State.WARNING),
        "findings": [asdict(finding) for finding in report.findings],
    }


def table(report: Report, width: int) -> Iterator[Text]:
    """Yield the lines of the table for a terminal of ``width`` columns."""
    area = ""
    for finding in report.findings:
        if finding.area != area:
            if area:
                yield Text()
            area = finding.area
            yield Text(area, style="bold")
        yield from _row(finding, width)
    yield Text()
    yield _verdict(report)


def _row(finding: Finding, width: int) -> Iterator[Text]:
    """Yield what was seen, wrapped beside its name; then the remedy, and each command on a line."""
    indent = _STATE_WIDTH + _NAME_WIDTH
    names = _wrap(finding.name, _NAME_WIDTH - 2) or [""]
    seen = _wrap(finding.seen, max(_NARROWEST, width - indent)) or [""]
    for number in range(max(len(names), len(seen))):
        line = Text()
        state = str(finding.state) if number == 0 else ""
        line.append(f"{state:<{_STATE_WIDTH}}", style=_STYLES[finding.state])
        line.append(f"{names[number] if number < len(names) else '':<{_NAME_WIDTH}}")
        line.append(seen[number] if number < len(seen) else "")
        line.rstrip()
        yield line
    remedy = _wrap(finding.remedy, max(_NARROWEST, width - _STATE_WIDTH - 2))
    for number, text in enumerate(remedy):
        yield Text(" " * _STATE_WIDTH + ("  " if number else "→ ") + text)
    for command in finding.commands:
        yield Text(" " * (_STATE_WIDTH + 2)).append(command, style="cyan")


def _wrap(text: str, width: int) -> list[str]:
    # Paths and options are hard enough to read in one piece.
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _verdict(report: Report) -> Text:
    faults, warnings = report.count(State.FAULT), report.count(State.WARNING)
    if faults:
        text = Text(_counted(faults, "fault"), style=_STYLES[State.FAULT])
        text.append(f" and {_counted(warnings, 'warning')}", style="default")
    elif warnings:
        text = Text(f"no fault, {_counted(warnings, 'warning')}", style=_STYLES[State.WARNING])
    else:
        text = Text("everything is all right", style=_STYLES[State.OK])
    return text.append(f" ({report.seconds:.1f} s)", style="default")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
