"""All checks, side by side, within a time limit.

Nothing but the standard library is imported here: the doctor is called when packages are broken,
and has to come and say so. Each check is imported in its own thread, and one that cannot be, or
that raises, is a finding like others.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obs_stylizer.doctor.findings import Finding, Notes, Report
from obs_stylizer.errors import StylizerError

if TYPE_CHECKING:
    from obs_stylizer.doctor.situation import Situation

log = logging.getLogger(__name__)

TIME_LIMIT: Final = 12.0
"""Seconds after which a check that has not ended is left."""

_CHECKS: Final = (
    ("Program", "program"),
    ("Packages", "packages"),
    ("Models and presets", "models"),
    ("Execution", "execution"),
    ("Cameras", "cameras"),
    ("Virtual cameras", "virtual_cameras"),
    ("Screen", "display"),
    ("OBS", "obs"),
    ("Ports", "ports"),
    ("Permissions", "permissions"),
    ("Disk", "disk"),
)
"""The areas in the order in which they are shown, and the module that examines each."""


class _Check(threading.Thread):
    """One area's check; what it found until now is in ``findings``."""

    def __init__(self, area: str, module: str, situation: Situation) -> None:
        # Daemonic: one that hangs in a driver must not keep the program from ending.
        super().__init__(name=f"doctor {module}", daemon=True)
        self.area = area
        self.findings: list[Finding] = []
        self._module = module
        self._situation = situation

    def run(self) -> None:
        """See :class:`threading.Thread`."""
        notes = Notes(self.area)
        try:
            module = importlib.import_module(f"obs_stylizer.doctor.{self._module}")
            found: Iterator[Finding] = module.examine(notes, self._situation)
            for finding in found:
                self.findings.append(finding)
        except StylizerError as error:
            self.findings.append(notes.fault("examination", error.message, error.remedy))
        except Exception as error:
            # Whatever a broken package raises, the other areas are still to be examined.
            log.debug("%s could not be examined", self.area, exc_info=True)
            self.findings.append(notes.fault("examination", _unexpected(error)))


def examine(config: Path | None = None, time_limit: float = TIME_LIMIT) -> Report:
    """Examine this machine.

    Args:
        config: the configuration file; None for the platform's own.
        time_limit: seconds after which what has not ended is left, and reported so.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="obs-stylizer-doctor-", ignore_cleanup_errors=True
    ) as scratch:
        try:
            from obs_stylizer.doctor.situation import look_around

            situation = look_around(config, Path(scratch))
        except Exception as error:
            log.debug("nothing can be examined but the packages", exc_info=True)
            findings = _packages_alone(error)
        else:
            checks = [_Check(area, module, situation) for area, module in _CHECKS]
            for check in checks:
                check.start()
            findings = []
            for check in checks:
                check.join(max(0.0, started + time_limit - time.monotonic()))
                findings += list(check.findings)
                if check.is_alive():
                    findings.append(_unfinished(check.area, time_limit))
    return Report(tuple(findings), time.monotonic() - started)


def _packages_alone(error: Exception) -> list[Finding]:
    """What is found where the program's own modules do not load."""
    from obs_stylizer.doctor import packages

    failed = Notes("Program").fault(
        "examination", f"{_unexpected(error)}; until the packages are whole, nothing else is seen"
    )
    return [failed, *packages.examine(Notes("Packages"))]


def _unexpected(error: Exception) -> str:
    return f"could not be examined: {type(error).__name__}: {error}"


def _unfinished(area: str, time_limit: float) -> Finding:
    return Notes(area).warning(
        "examination",
        f"was not finished after {time_limit:.0f} s and was left: the machine has much to do, or "
        "a driver hangs",
    )
