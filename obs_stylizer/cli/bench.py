"""``obs-stylizer bench``: measure this machine on the live path itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from obs_stylizer.cli.console import (
    JSON_OPTION,
    error_console,
    print_json,
    print_table,
    start_logging,
)
from obs_stylizer.errors import UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions


def bench(
    rows: list[str] | None = typer.Option(
        None, "--row", help="One of those listed below; all if left out."
    ),
    model: str = typer.Option("paintings", help="A bundled generator, or a file."),
    size: str = typer.Option("1280x720", metavar="WxH", help="Size of the pictures in and out."),
    process_size: str = typer.Option(
        "640x360", metavar="WxH", help="Size of the generator's work."
    ),
    seconds: float = typer.Option(8.0, min=0.5, help="Seconds that each row measures."),
    provider: Provider = typer.Option(Provider.AUTO, help="For the rows that compare none."),
    precision: Precision = typer.Option(Precision.AUTO, help="For the rows that compare none."),
    threads: int = typer.Option(0, min=0, help="CPU threads; 0 for all cores."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Measure speed, latency, switching, recovery and memory; takes about four minutes.

    Rows: memory, switch, kill, realtime, plain, still, free, usual, idle.

    Example:  obs-stylizer bench --row free --row realtime
    """
    from obs_stylizer.bench.rows import ROWS
    from obs_stylizer.bench.setup import Bench
    from obs_stylizer.inference.locate import find_model

    unknown = [row for row in rows or () if row not in ROWS]
    if unknown:
        raise UsageError(f"there is no row “{unknown[0]}”", f"rows are: {', '.join(ROWS)}")
    start_logging("error")
    results = []
    with tempfile.TemporaryDirectory(prefix="obs-stylizer-bench-") as folder:
        setting = Bench(
            model=find_model(model, Path.cwd()),
            size=FrameSize.parse(size),
            process_size=FrameSize.parse(process_size),
            seconds=seconds,
            folder=Path(folder),
            session=SessionOptions(provider=provider, precision=precision, threads=threads),
        )
        for name in rows or ROWS:
            with error_console().status(f"measuring: {name} …"):
                for row in ROWS[name](setting):
                    results.append(row)
                    if not as_json:
                        _print_row(row.title, row)
    if as_json:
        print_json([row.as_dict() for row in results])


def _print_row(title: str, row: object) -> None:
    from obs_stylizer.bench.report import Row

    assert isinstance(row, Row)
    if row.skipped:
        typer.echo(f"{title}: skipped: {row.skipped}")
        return
    marks = {True: "yes", False: "NO"}
    print_table(
        ("figure", "measured", "wanted", "reached"),
        (
            (f.name, f.text, f.bound_text, "" if f.bound is None else marks[f.reached])
            for f in row.figures
        ),
        title=f"{title}  ({row.note})" if row.note else title,
    )
