"""What the commands print: tables for people, JSON for programs, logs on the error stream."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from obs_stylizer.cli.encoding import json_text

JSON_OPTION: Any = typer.Option(False, "--json", help="Print JSON for programs.")


def error_console() -> Console:
    """A console on the error stream, made anew so that redirected streams are honoured."""
    return Console(stderr=True)


def print_error(text: str) -> None:
    """Print an error on the error stream, letter by letter: names may look like markup."""
    error_console().print(Text.assemble(("error:", "red"), f" {text}"), soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as JSON on the output stream."""
    sys.stdout.write(json_text(value, indent=2) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table; cells are plain text."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell).replace("[", "\\[") for cell in row))
    Console().print(table)


class _SafeStreamHandler(logging.StreamHandler[Any]):
    """Writes log lines, and goes on in silence where the terminal was closed."""

    def emit(self, record: logging.LogRecord) -> None:
        # The status line takes the error stream over while it is shown, to write above itself.
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not isinstance(sys.exc_info()[1], OSError | ValueError):
            super().handleError(record)


def start_logging(level: str) -> None:
    """Send log lines of ``level`` (debug, info, warning, error) and above to the error stream.

    Raises:
        typer.BadParameter: there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise typer.BadParameter(f"“{level}” is no log level; use debug, info, warning or error")
    handler = _SafeStreamHandler(sys.stderr)
    pattern = "%(asctime)s %(levelname)-7s %(message)s"
    if number <= logging.DEBUG:
        pattern = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(pattern, "%H:%M:%S"))
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for noisy in ("uvicorn", "uvicorn.access", "uvicorn.error", "asyncio"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))
