"""What every check needs to know before it begins: the settings, and who is on air."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from obs_stylizer.errors import SettingsError
from obs_stylizer.locks import Holder, holder_of
from obs_stylizer.settings import Settings, config_file, load_settings, runtime_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the doctor finds himself.

    Attributes:
        settings: the user's, or the defaults where those cannot be read.
        settings_file: where they were looked for.
        settings_error: why they cannot be read; None if they can.
        on_air: what running daemons hold, as "port 8765", and who holds it.
        scratch: an empty folder for the checks, removed in the end.
    """

    settings: Settings
    settings_file: Path
    settings_error: SettingsError | None
    on_air: dict[str, Holder]
    scratch: Path

    @property
    def broadcaster(self) -> str:
        """The daemon on air in words; "" if there is none."""
        return str(next(iter(self.on_air.values()), ""))


def look_around(config: Path | None, scratch: Path) -> Situation:
    """Find out the situation; steps back from the processor where a daemon is on air."""
    file = config or config_file()
    error: SettingsError | None = None
    settings = Settings()
    try:
        settings = load_settings(config)
    except SettingsError as caught:
        error = caught
    on_air = locks_held()
    if on_air:
        _yield_the_processor()
    return Situation(settings, file, error, on_air, scratch)


def locks_held() -> dict[str, Holder]:
    """Everything that running daemons have locked, and by whom."""
    held = {}
    for note in sorted(runtime_folder().glob("*.json")):
        try:
            thing = str(json.loads(note.read_text("utf-8"))["thing"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # it was given up meanwhile, or is no note of ours
        holder = holder_of(thing)
        if holder is not None:
            held[thing] = holder
    return held


def _yield_the_processor() -> None:
    """Run, with all children, only when nobody else wants to."""
    try:
        if sys.platform == "win32":
            psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
        else:
            psutil.Process().nice(19)
    except psutil.Error as error:
        log.debug("the priority stays as it is: %s", error)
