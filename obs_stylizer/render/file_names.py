"""Names of files beside others: any bytes, and never longer than a file system takes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

# Most file systems take 255 bytes, those that encrypt names 143.
_MAX_BYTES: Final = 143


def sibling(path: Path, before: str, after: str) -> Path:
    """Return a path in the same folder, named after ``path`` where that is not too long."""
    name = f"{before}{path.name}{after}"
    encoded = os.fsencode(path.name)
    if len(encoded) + len(before) + len(after) > _MAX_BYTES:
        name = f"{before}{hashlib.sha256(encoded).hexdigest()[:24]}{after}"
    return path.with_name(name)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; a name that cannot be one is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
