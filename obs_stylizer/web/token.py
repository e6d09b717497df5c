"""The secret that lets programs in from elsewhere, in a file that only the user may read."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path
from typing import Final

from obs_stylizer.settings import config_folder

log = logging.getLogger(__name__)

_BYTES: Final = 32
_SHORTEST: Final = 20
_LONGEST: Final = 1000
_not_kept: Final[dict[Path, str]] = {}
"""Tokens of files that cannot be written: panel and streams of one process share one."""


def token_file() -> Path:
    """Where the token is."""
    return config_folder() / "token"


def read_or_make_token(path: Path | None = None) -> str:
    """Return the token, made at the first call; ``path`` is :func:`token_file` if not given.

    Where it can be neither read nor written, it is one for this process alone, and the log says
    so.
    """
    path = path or token_file()
    try:
        return _read(path) or _make(path)
    except OSError as error:
        if path not in _not_kept:
            log.warning(
                "the token cannot be kept in %s (%s): it is another one after each start",
                path,
                error,
            )
            _not_kept[path] = secrets.token_urlsafe(_BYTES)
        return _not_kept[path]


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            token = stream.read(_LONGEST).strip()
    except FileNotFoundError:
        return ""
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s was open to other users; now it is not", path)
        path.chmod(0o600)
    if len(token) < _SHORTEST:
        log.warning("%s holds no usable token; a new one takes its place", path)
        path.unlink()
        return ""
    return token


def _make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(_BYTES)
    # Whole before it has its name: whoever starts at the same moment reads all of it or nothing.
    # Private from its first moment; on Windows the folder is the user's own.
    number, draft = tempfile.mkstemp(prefix=".token.", dir=path.parent)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(token + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            # Another daemon was as quick.
            return _read(path) or token
        except OSError:
            # A file system without links.
            Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    log.info("made a token for other programs: %s", path)
    return token
