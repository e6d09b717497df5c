"""Trials in a process of their own, since drivers crash and hang and take their process along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any, Final

import psutil

from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.errors import WorkerError

_CROWDED: Final = 2.0
"""Programs that want to run, for each core, from which on being late means nothing."""


class NoAnswerError(WorkerError):
    """A trial gave no answer in its time: its driver hangs, or the machine has too much to do."""


def ask(module: str, *arguments: str, seconds: float) -> dict[str, Any]:
    """Run ``python -m MODULE ARGUMENTS`` and return the JSON object of its last line.

    Raises:
        NoAnswerError: it took longer than ``seconds``.
        WorkerError: it crashed, or said something else.
    """
    # -P: modules come from where the program is, not from the folder one stands in.
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUTF8": "1"},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"gave no answer within {seconds:.0f} s") from None
    except OSError as error:
        raise WorkerError(f"could not be tried: {error}") from error
    # Libraries print to both streams as they please; the answer is the last line.
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise WorkerError(_how_it_ended(done))
    return answer


def failed(notes: Notes, name: str, what: str, error: WorkerError, *commands: str) -> Finding:
    """Say that a trial failed; only a warning where the machine is too busy for it to tell much.

    Args:
        notes: of the area.
        name: of the row.
        what: begins the sentence that the error ends, as in "listing them"; "" for none.
        error: as :func:`ask` raised it.
        commands: what may help.
    """
    seen = f"{what} {error.message}".strip()
    if isinstance(error, NoAnswerError) and machine_is_crowded():
        again = "the machine has much to do: look again when it has not"
        return notes.warning(name, seen, again)
    return notes.fault(name, seen, error.remedy, *commands)


def machine_is_crowded() -> bool:
    """Whether so many programs want to run that a trial may be late without being at fault."""
    try:
        waiting = psutil.getloadavg()[0]
    except OSError:
        return False
    return waiting > _CROWDED * (os.cpu_count() or 1)


def tell(answer: dict[str, Any]) -> None:
    """Print a trial's answer, for :func:`ask` to read."""
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


def _how_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stderr.strip().rpartition("\n")[2]
    because = f": {said}" if said else ""
    if done.returncode < 0:
        return f"crashed with {signal.Signals(-done.returncode).name}{because}"
    if done.returncode > 255:  # Windows gives the number of the exception
        return f"crashed with 0x{done.returncode:08X}{because}"
    return f"ended with code {done.returncode}{because}"
