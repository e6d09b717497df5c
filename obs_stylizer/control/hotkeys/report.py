"""What became of the hotkeys of a running daemon, in a file that other processes can read."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

log = logging.getLogger(__name__)

_LARGEST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class HotkeyState:
    """One hotkey.

    Attributes:
        keys: the combination, or what was written in its place.
        text: the command, as people write it.
        asked_by: "your settings" or "preset NAME".
        problem: why it does not work; "" if it does.
        trigger: keys in the words of a desktop that lets the user choose; "" where they are those.
    """

    keys: str
    text: str
    asked_by: str
    problem: str = ""
    trigger: str = ""

    @property
    def shown_keys(self) -> str:
        """The keys to press, for people."""
        return self.trigger or self.keys


@dataclass(frozen=True, slots=True)
class Report:
    """All hotkeys of one daemon.

    Attributes:
        pid: its process.
        since: when this was written, in seconds since 1970.
        trouble: why nothing can be heard; "" while all is well.
    """

    pid: int
    since: float
    trouble: str
    hotkeys: tuple[HotkeyState, ...]


def write_report(folder: Path, trouble: str, hotkeys: tuple[HotkeyState, ...]) -> None:
    """Leave a report of this process, in place of its last one."""
    path = _path(folder, os.getpid())
    scratch = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report = Report(os.getpid(), time.time(), trouble, hotkeys)
        scratch.write_text(json.dumps(asdict(report)), "utf-8")
        scratch.replace(path)
    except OSError as error:
        log.debug("the state of the hotkeys cannot be written: %s", error)


def remove_report(folder: Path) -> None:
    """Take this process's report away."""
    try:
        _path(folder, os.getpid()).unlink(missing_ok=True)
    except OSError as error:
        log.debug("the state of the hotkeys cannot be removed: %s", error)


def read_reports(folder: Path) -> list[Report]:
    """Return the reports of all daemons that run, the newest first; those of ended ones go."""
    reports = []
    for path in folder.glob("hotkeys-*.json"):
        report = _read(path)
        if report is not None and _runs(report):
            reports.append(report)
        else:
            _forget(path)
    return sorted(reports, key=lambda report: report.since, reverse=True)


def _path(folder: Path, pid: int) -> Path:
    return folder / f"hotkeys-{pid}.json"


def _read(path: Path) -> Report | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        values = json.loads(path.read_text("utf-8"))
        states = tuple(HotkeyState(**state) for state in values["hotkeys"])
        return Report(int(values["pid"]), float(values["since"]), str(values["trouble"]), states)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _runs(report: Report) -> bool:
    """Whether the process that wrote it is still the one of that number."""
    try:
        return psutil.Process(report.pid).create_time() <= report.since + 2
    except psutil.Error:
        return False


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        log.debug("%s cannot be removed", path)
