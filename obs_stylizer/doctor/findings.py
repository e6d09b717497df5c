"""What the doctor says: one finding a row, and all of them as a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How grave a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row.

    Attributes:
        area: what it belongs to, as in "Cameras".
        name: the thing that was looked at.
        state: how it is.
        seen: what was seen, in words.
        remedy: what to do about it, in words; "" where the commands say all, or nothing is wrong.
        commands: lines to copy into a terminal, in their order.
    """

    area: str
    name: str
    state: State
    seen: str
    remedy: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, in the order of the areas, and how many seconds it took."""

    findings: tuple[Finding, ...]
    seconds: float

    def count(self, state: State) -> int:
        """How many findings are of that state."""
        return sum(finding.state is state for finding in self.findings)


class Notes:
    """Makes the findings of one area."""

    def __init__(self, area: str) -> None:
        self._area = area

    def ok(self, name: str, seen: str) -> Finding:
        """Nothing is wrong with it."""
        return Finding(self._area, name, State.OK, seen)

    def warning(self, name: str, seen: str, remedy: str = "", *commands: str) -> Finding:
        """It works, but not as well as it could; or it is not there, and may be wanted."""
        return Finding(self._area, name, State.WARNING, seen, remedy, commands)

    def fault(self, name: str, seen: str, remedy: str = "", *commands: str) -> Finding:
        """It does not work."""
        return Finding(self._area, name, State.FAULT, seen, remedy, commands)
