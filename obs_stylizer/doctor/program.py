"""The program itself, its configuration, and whether it is on air."""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterator

from obs_stylizer import __version__
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    bits = struct.calcsize("P") * 8
    where = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield notes.ok(
        "obs-stylizer", f"{__version__} on Python {platform.python_version()} ({bits} bit), {where}"
    )
    yield _configuration(notes, situation)
    if situation.on_air:
        things = ", ".join(situation.on_air)
        yield notes.ok("on air", f"{situation.broadcaster}: {things}; left alone")
    else:
        yield notes.ok("on air", "nobody")


def _configuration(notes: Notes, situation: Situation) -> Finding:
    error = situation.settings_error
    if error is not None:
        return notes.fault(
            "configuration",
            error.message,
            f"{error.remedy}; everything below goes by the defaults".removeprefix("; "),
        )
    if not situation.settings_file.exists():
        return notes.ok("configuration", f"none ({situation.settings_file}), so the defaults")
    return notes.ok("configuration", f"{situation.settings_file} is valid")
