"""The terminal while on air: log lines and a status line, written by a thread of their own.

A terminal stops taking what is written to it when somebody presses Ctrl-S, selects text in a
Windows console, or stops reading a pipe. Whoever writes then waits, and threads that must never
wait (they send frames, watch the worker, take commands) write log lines. So they lay them into a
queue, which is bounded: what finds no room is counted and told when the terminal goes on.
"""

from __future__ import annotations

import io
import logging
import os
import queue
import re
import sys
import threading
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

log = logging.getLogger(__name__)

MOST_LINES: Final = 2000
_END_SECONDS: Final = 2.0
_SECRET: Final = re.compile(r"\b(token=)[\w%.~-]+")


class Terminal:
    """``with Terminal() as terminal:`` takes over what logging writes to the error stream.

    Args:
        stream: where it is written, instead of the process's error stream.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or _own_error_stream()
        self._live: Live | None = None
        self._shows_status = (
            self._stream is not None and self._stream.isatty() and sys.platform != "win32"
        )
        # None ends the thread. A simple queue may be used by a signal handler at any moment.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._status = ""
        is_terminal = self._stream is not None and self._stream.isatty()
        self._handler = _QueueHandler(self._lines, shows_secrets=is_terminal)
        self._handlers: list[logging.Handler] = []
        self._thread = threading.Thread(target=self._write, name="terminal", daemon=True)

    @property
    def lost(self) -> int:
        """How many lines found no room."""
        return self._handler.lost

    def show_status(self, text: str) -> None:
        """Show a line at the bottom in place of the one before; nothing where no terminal is.

        Returns at once; the newest is shown when the terminal takes it.
        """
        if self._shows_status:
            pending, self._status = self._status, text
            if not pending:
                self._lines.put("")

    def __enter__(self) -> Terminal:
        root = logging.getLogger()
        self._handlers, root.handlers = root.handlers, [self._handler]
        if self._handlers:
            self._handler.setFormatter(self._handlers[0].formatter)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        logging.getLogger().handlers = self._handlers
        self._lines.put(None)
        # One that takes nothing any more is left alone.
        self._thread.join(_END_SECONDS)

    def _write(self) -> None:
        told = 0
        goes_on = True
        while goes_on:
            line = self._lines.get()
            goes_on = line is not None
            try:
                if line:
                    self._write_line(line)
                elif goes_on:
                    self._write_status()
                if self._handler.lost > told and (self._lines.empty() or not goes_on):
                    lost, told = self._handler.lost - told, self._handler.lost
                    self._write_line(self._handler.about(lost))
            except (OSError, ValueError):
                # The terminal was closed; the daemon is told by a signal of its own.
                self._live, self._shows_status = None, False
            except Exception:
                self._live, self._shows_status = None, False
                log.debug("the status line", exc_info=True)
        try:
            if self._live is not None:
                self._live.stop()
        except (OSError, ValueError):
            log.debug("the terminal is gone")

    def _write_line(self, line: str) -> None:
        if self._stream is None:
            return
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def _write_status(self) -> None:
        text, self._status = self._status, ""
        if not self._shows_status:
            return
        if self._live is None:
            # The streams stay as they are: whoever else writes to them must not wait for us.
            self._live = Live(
                console=Console(file=self._stream),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(Text(text, style="cyan"), refresh=True)


class _QueueHandler(logging.Handler):
    """Formats a line and lays it into a queue, if there is room.

    Args:
        lines: the queue.
        shows_secrets: whether the token may be read; a journal or a file is kept and shown around.
    """

    def __init__(self, lines: queue.SimpleQueue[str | None], *, shows_secrets: bool) -> None:
        super().__init__()
        self._lines = lines
        self._shows_secrets = shows_secrets
        self.lost = 0

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if self._shows_secrets else _SECRET.sub(r"\1…", text)

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= MOST_LINES:
            self.lost += 1
            return
        try:
            self._lines.put(self.format(record))
        except Exception:
            # As for logging's own: a wrong call of ours must not end the thread that made it.
            self._lines.put(f"a log line of {record.name} cannot be made: {record.msg!r}")

    def about(self, lost: int) -> str:
        """Return a line that says how many were lost."""
        text = "%d log lines were lost here, since nothing could be written"
        return self.format(
            logging.makeLogRecord(
                {"levelno": logging.WARNING, "levelname": "WARNING", "name": __name__}
                | {"msg": text, "args": (lost,)}
            )
        )


def _own_error_stream() -> TextIO | None:
    """Return a stream of our own to where the error stream goes, or None if it goes nowhere.

    Python waits for its own streams when it ends, and a thread that waits for the terminal would
    hold them.
    """
    if sys.stderr is None:
        return None
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):
        return sys.stderr
    return open(  # noqa: PTH123 (a descriptor, and kept open until the end)
        descriptor, "w", encoding=sys.stderr.encoding, errors="backslashreplace"
    )
