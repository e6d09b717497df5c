"""A home folder for users that have none, as in a container that runs under a bare number."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path


def ensure_home() -> None:
    """Give this process and those it starts a home folder, if the user has none; say so once."""
    try:
        Path.home()
    except RuntimeError:
        folder = _own_temporary_folder()
        os.environ["USERPROFILE" if sys.platform == "win32" else "HOME"] = str(folder)
        print(
            "warning: this user has no home folder; settings and caches are looked for in "
            f"{folder} (set HOME to a folder that may be written to)",
            file=sys.stderr,
        )


def _own_temporary_folder() -> Path:
    """Return a folder in the temporary one that only this user may enter, the same each time."""
    user = os.getuid() if sys.platform != "win32" else 0
    try:
        folder = Path(tempfile.gettempdir()) / f"obs-stylizer-home-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        # Somebody else may have made it, or a link to elsewhere.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077:
            return folder
        return Path(tempfile.mkdtemp(prefix="obs-stylizer-home-"))
    except OSError:
        # Nothing can be kept anywhere; what needs a folder says so.
        return Path("/nonexistent")
