"""How far a rendering is: a bar on a terminal, lines of JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from obs_stylizer.cli.console import error_console
from obs_stylizer.errors import StylizerError

if TYPE_CHECKING:
    from obs_stylizer.render import progress
    from obs_stylizer.render.file_render import Result
    from obs_stylizer.render.requests import Request


class Display:
    """Shows renderings one after another.

    Args:
        as_json: write lines of JSON to ``stream`` instead of a bar on the error stream.
        stream: for JSON.
    """

    def __init__(self, *, as_json: bool, stream: IO[str]) -> None:
        self._as_json = as_json
        self._stream = stream
        self._told: StylizerError | None = None

    @contextmanager
    def of(self, request: Request) -> Iterator[Callable[[progress.Progress], None]]:
        """Show one rendering; the function given is told how far it is."""
        self._line("begin", request)
        if self._as_json:
            yield lambda moment: self._moment(request, moment)
        elif not sys.stderr.isatty():
            yield _show_nothing
        else:
            with _Bar(request) as bar:
                yield bar.show

    def done(self, request: Request, result: Result) -> None:
        """Tell the end of one."""
        fps = result.rendered / result.seconds if result.seconds > 0 else 0.0
        self._line(
            "done",
            request,
            frames=result.frames,
            seconds=round(result.seconds, 3),
            fps=round(fps, 2),
        )
        if not self._as_json:
            text = f"{request}: {result.frames} frames in {result.seconds:.1f} s ({fps:.1f} fps)"
            error_console().print(Text(text), soft_wrap=True)

    def failed(self, request: Request, error: StylizerError) -> None:
        """Tell why one ended early."""
        self._told = error
        self._line("failed", request, error=error.message, remedy=error.remedy)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell an error that ends everything, unless it was told with its rendering."""
        try:
            yield
        except StylizerError as error:
            if error is not self._told:
                self._write({"event": "failed", "error": error.message, "remedy": error.remedy})
            raise

    def _moment(self, request: Request, moment: progress.Progress) -> None:
        self._line(
            "progress",
            request,
            stage=moment.stage,
            frame=moment.frame,
            frames=moment.frames,
            fps=round(moment.fps, 2),
            seconds_left=None if moment.seconds_left is None else round(moment.seconds_left, 1),
        )

    def _line(self, event: str, request: Request, **values: Any) -> None:
        head = {
            "event": event,
            "input": _written(request.source),
            "output": _written(request.target),
        }
        self._write({**head, **values})

    def _write(self, values: dict[str, Any]) -> None:
        if self._as_json:
            line = f"{json.dumps(values, ensure_ascii=False)}\n"
            # The odd bytes of a name that is no UTF-8 become escapes, which read back as they were.
            _write_bytes(self._stream, line.encode(errors="backslashreplace"))


def _written(path: Path | None) -> str:
    """Return a path as UTF-8 has it, whatever encoding the terminal says that names are in."""
    return "-" if path is None else os.fsencode(path).decode("utf-8", "surrogateescape")


def _write_bytes(stream: IO[str], data: bytes) -> None:
    """Write UTF-8 whatever the terminal's encoding is: programs read this."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(data.decode())
    else:
        buffer.write(data)
    stream.flush()


def _show_nothing(moment: progress.Progress) -> None:
    del moment


class _Bar:
    """A bar with frames, rate and time left."""

    def __init__(self, request: Request) -> None:
        name = request.source.name if request.source is not None else "stdin"
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=error_console(),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(name, total=None, rate="", start=True)

    def show(self, moment: progress.Progress) -> None:
        """Show a moment."""
        rate = f"{moment.fps:.1f} fps" if moment.stage == "rendering" else moment.stage
        self._progress.update(self._task, completed=moment.frame, total=moment.frames, rate=rate)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
