"""Trials in a process of their own, since drivers crash and hang and take their process along."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from obs_stylizer.errors import WorkerError


def ask(module: str, *arguments: str, seconds: float) -> dict[str, Any]:
    """Run ``python -m MODULE ARGUMENTS`` and return the JSON object of its last line.

    Raises:
        WorkerError: it crashed, gave no answer, or took longer than ``seconds``.
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
        raise WorkerError(f"gave no answer within {seconds:.0f} s") from None
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
