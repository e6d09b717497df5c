"""Free space where we write, and memory for the frames that two processes share."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import UsageError, WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.cache import cache_folder
from obs_stylizer.realtime.frame_memory import SHARED_FOLDER, make_memory
from obs_stylizer.realtime.mailbox import bytes_needed
from obs_stylizer.settings import config_folder
from obs_stylizer.sinks.spec import SinkKind, SinkSpec

_MEGABYTE: Final = 1_000_000
_ENOUGH: Final = {"recordings": 5_000 * _MEGABYTE}
_ENOUGH_ELSEWHERE: Final = 1_000 * _MEGABYTE
_LEAST: Final = 50 * _MEGABYTE
"""Below this neither a recording nor a compiled model can be kept."""


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    places = {
        "configuration": config_folder(),
        "cache": cache_folder(),
        "recordings": situation.settings.recording.recordings_folder,
    }
    for text in situation.settings.sinks:
        try:
            spec = SinkSpec.parse(text)
        except UsageError:
            continue  # the ports' check tells it
        if spec.kind is SinkKind.FILE:
            places["recordings"] = Path(spec.target).expanduser().absolute().parent
    for name, folder in places.items():
        there = _existing(folder)
        yield judge(notes, name, there, shutil.disk_usage(there).free)
    yield _shared_memory(notes, FrameSize.parse(situation.settings.size))


def _shared_memory(notes: Notes, size: FrameSize) -> Finding:
    """Take as much as the daemon does, one mailbox for styled and one for plain frames."""
    name, needed = "shared memory", 2 * bytes_needed(size)
    try:
        memory = make_memory(needed)
    except WorkerError as error:
        return notes.fault(name, error.message, error.remedy)
    limited = (SHARED_FOLDER / memory.name.lstrip("/")).exists()
    memory.close()
    seen = f"{_in_words(needed)} for {size} can be had"
    if sys.platform == "linux":
        free = _in_words(shutil.disk_usage(_existing(SHARED_FOLDER)).free)
        seen += (
            f" (from {SHARED_FOLDER}, {free} free)"
            if limited
            else f" ({SHARED_FOLDER}: {free} free, not needed)"
        )
    return notes.ok(name, seen)


def judge(notes: Notes, name: str, folder: Path, free: int) -> Finding:
    """Say what so many free bytes in a folder mean."""
    enough = _ENOUGH.get(name, _ENOUGH_ELSEWHERE)
    seen = f"{_in_words(free)} free in {folder}"
    if free >= enough:
        return notes.ok(name, seen)
    make = notes.fault if free < _LEAST else notes.warning
    command = () if sys.platform == "win32" else (_largest(folder),)
    return make(name, f"{seen}, less than {_in_words(enough)}", "make room; the largest:", *command)


def _largest(folder: Path) -> str:
    return f"{copyable.command('du', '-xhd1', str(folder))} | sort -h | tail"


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _in_words(count: int) -> str:
    if count >= 1000 * _MEGABYTE:
        return f"{count / 1000 / _MEGABYTE:.1f} GB"
    return f"{count / _MEGABYTE:.0f} MB"
