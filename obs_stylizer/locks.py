"""Locks on ports, devices and files, so that two daemons never share one by mistake.

A lock is a file that the operating system lets go of when its process ends, however it
ends; beside it lies a note of who holds it, for the message to the second comer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from obs_stylizer.errors import BusyError
from obs_stylizer.settings import runtime_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: its process, and since when (seconds since 1970)."""

    pid: int
    since: float

    def __str__(self) -> str:
        then, now = time.localtime(self.since), time.localtime()
        form = "%H:%M" if then[:3] == now[:3] else "%Y-%m-%d %H:%M"
        return f"obs-stylizer, process {self.pid}, since {time.strftime(form, then)}"


class ResourceLock:
    """The right of this process to one thing, taken by :meth:`take` and given up once."""

    def __init__(self, thing: str, lock: FileLock, note: Path) -> None:
        self.thing = thing
        self._lock = lock
        self._note = note

    @classmethod
    def take(cls, thing: str, *, remedy: str = "") -> ResourceLock:
        """Lock ``thing``, such as "port 8765" or "/dev/video2".

        Raises:
            BusyError: another obs-stylizer holds it; the message names its process.
        """
        lock_path, note = _paths(thing)
        try:
            lock_path.parent.mkdir(parents=True, exist_ok=True)
            # Not tied to a thread: a sink may be closed by another one than opened it.
            file_lock = FileLock(lock_path, timeout=0, thread_local=False)
            file_lock.acquire()
        except Timeout:
            holder = _read(note)
            by = str(holder) if holder is not None else "another obs-stylizer"
            raise BusyError(
                f"{thing} is held by {by}",
                remedy or "stop that one, or choose another",
            ) from None
        except OSError as error:
            # A folder that cannot be written must not keep the camera off the air.
            log.warning("cannot note that %s is in use: %s", thing, error)
            return cls(thing, lock=FileLock(os.devnull, thread_local=False), note=note)
        lock = cls(thing, file_lock, note)
        lock._write()
        return lock

    def release(self) -> None:
        """Give the thing up; a second call does nothing."""
        if not self._lock.is_locked:
            return
        self._note.unlink(missing_ok=True)
        self._lock.release()

    def _write(self) -> None:
        text = json.dumps({"thing": self.thing, "pid": os.getpid(), "since": time.time()})
        try:
            self._note.write_text(text, encoding="utf-8")
        except OSError as error:
            log.warning("cannot write %s: %s", self._note, error)


def holder_of(thing: str) -> Holder | None:
    """Who holds ``thing`` now, or None; nothing is locked by asking."""
    return _read(_paths(thing)[1])


def _paths(thing: str) -> tuple[Path, Path]:
    readable = re.sub(r"[^a-zA-Z0-9.-]+", "-", thing).strip("-")[-60:]
    # The name alone could be the same for two things: "/dev/video1" and "dev video1".
    # A file's name need not be UTF-8.
    digest = hashlib.sha256(thing.encode(errors="surrogateescape")).hexdigest()
    name = f"{readable}-{digest[:8]}"
    folder = runtime_folder()
    return folder / f"{name}.lock", folder / f"{name}.json"


def _read(note: Path) -> Holder | None:
    try:
        entry = json.loads(note.read_text(encoding="utf-8"))
        holder = Holder(int(entry["pid"]), float(entry["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A killed process leaves its note behind, but not its lock; its number may be given away.
    try:
        started = psutil.Process(holder.pid).create_time()
    except psutil.Error:
        return None
    return holder if started <= holder.since + 2 else None
