"""The checks that the project passes: style, types, layers, tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from environment import Environment


@dataclass(frozen=True)
class Check:
    """One check: its name, and its command."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a check ended."""

    name: str
    exit_code: int
    seconds: float


def all_checks(environment: Environment, pytest_arguments: Sequence[str]) -> list[Check]:
    """The checks in their order: the quick ones first."""
    module = (str(environment.python), "-m")
    return [
        Check("ruff check", (*module, "ruff", "check")),
        Check("ruff format --check", (*module, "ruff", "format", "--check")),
        Check("mypy", (*module, "mypy")),
        Check("lint-imports", tuple(environment.script("lint-imports"))),
        # The slowest are named, so that somebody makes them quicker.
        Check("pytest", (*module, "pytest", "--durations=25", *pytest_arguments)),
    ]


def run_all(environment: Environment, pytest_arguments: Sequence[str]) -> int:
    """Runs every check, also after one has failed; 0 if all passed, else 1."""

    def start(check: Check) -> int:
        return subprocess.call(
            list(check.command), cwd=environment.root, env=environment.variables()
        )

    outcomes = run_checks(all_checks(environment, pytest_arguments), start)
    print(summary(outcomes), flush=True)
    return 1 if any(outcome.exit_code for outcome in outcomes) else 0


def run_checks(checks: Sequence[Check], start: Callable[[Check], int]) -> list[Outcome]:
    """Runs the checks one after the other."""
    outcomes = []
    for number, check in enumerate(checks, 1):
        print(f"\n=== {number}/{len(checks)} {check.name}", flush=True)
        before = time.monotonic()
        exit_code = start(check)
        outcomes.append(Outcome(check.name, exit_code, time.monotonic() - before))
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line a check, and a last line that names what failed."""
    lines = ["\n=== summary"]
    for outcome in outcomes:
        word = f"FAILED (exit code {outcome.exit_code})" if outcome.exit_code else "ok"
        lines.append(f"{outcome.name:<22}{word:<24}{outcome.seconds:7.1f} s")
    failed = [outcome.name for outcome in outcomes if outcome.exit_code]
    lines.append(f"failed: {', '.join(failed)}" if failed else "all checks ok")
    return "\n".join(lines)
