"""One installation at a time."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# On Windows the locked bytes cannot be read, so the lock is put far behind the text.
LOCKED_BYTE = 1 << 30


@contextlib.contextmanager
def held(
    path: Path,
    announce: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[int]:
    """Holds the lock file; waits for whoever holds it. Yields its file descriptor.

    A child that inherits the descriptor holds the lock too. So a pip that
    outlives a killed installer is waited for like the installer itself.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        announced = False
        while not _try_lock(descriptor):
            if not announced:
                announce(f"Another installation is running{_holder(path)}; waiting for it …")
                announced = True
            sleep(0.5)
        note = json.dumps({"process": os.getpid(), "since": time.strftime("%H:%M:%S")})
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, note.encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text("utf-8"))
        return f" (process {note['process']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
