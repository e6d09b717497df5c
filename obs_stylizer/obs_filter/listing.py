"""Which filters OBS has, by the files that they made, and the sign by which they see a daemon."""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from obs_stylizer.errors import SourceLostError
from obs_stylizer.frames import FrameSize
from obs_stylizer.obs_filter.layout import HEADER, HEADER_BYTES, MAGIC, VERSION

log = logging.getLogger(__name__)

SIGN: Final = "daemon"
FLATPAK: Final = "com.obsproject.Studio"
_SEEN_SECONDS: Final = 1.0
_UNFINISHED_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class FilterInfo:
    """A filter of a running OBS.

    Attributes:
        path: of its mapped file.
        source: the OBS source, group or scene that it is on; "" until it was drawn.
        name: its own.
        size: of the source; None where that is empty.
        fps: of OBS.
        drawn_at: when it was drawn last, in seconds of the shared clock.
        version: of its protocol.
        preset: asked for in its properties; "" for the one on air.
        served_by: process that serves it, or did last; 0 for none yet.
        beat: its last sign of life; 0 for none.
    """

    path: Path
    source: str
    name: str
    size: FrameSize | None
    fps: float
    drawn_at: float
    version: int
    preset: str = ""
    served_by: int = 0
    beat: int = 0

    @property
    def is_served(self) -> bool:
        """Whether a process serves it, or at least did not say that it ended."""
        return self.beat != 0 and self.served_by > 0 and psutil.pid_exists(self.served_by)

    @property
    def is_seen(self) -> bool:
        """Whether OBS draws it now."""
        return abs(time.perf_counter() - self.drawn_at) < _SEEN_SECONDS

    def answers_to(self, name: str) -> bool:
        """Whether a user may mean it by ``name``."""
        return name.casefold() in (self.source.casefold(), self.name.casefold())

    def __str__(self) -> str:
        if not self.source:
            return f"a filter in OBS ({self.path.name})"
        size = f", {self.size}" if self.size else ""
        return f"“{self.name}” on “{self.source}”{size}"


def filter_folders() -> list[Path]:
    """Where filters of this user's OBS make their files; a Flatpak's OBS has a place of its own.

    Only Linux's have been tried.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return [Path(base) / "obs-stylizer" / "obs"] if base else []
    if sys.platform == "darwin":
        return [Path.home() / "Library" / "Application Support" / "obs-stylizer" / "obs"]
    run = os.environ.get("XDG_RUNTIME_DIR")
    if not run:
        return [Path(f"/dev/shm/obs-stylizer-{os.getuid()}")]  # noqa: S108 (the script's choice)
    folders = [Path(run) / "obs-stylizer"]
    flatpak = Path(run) / "app" / FLATPAK
    if flatpak.is_dir():
        folders.append(flatpak / "obs-stylizer")
    return folders


def own_folder(folder: Path) -> None:
    """Make sure that a folder is there and this user's alone.

    Raises:
        SourceLostError: it is another user's, or cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform == "win32":
            return
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise SourceLostError(
                f"{folder} belongs to another user",
                "remove it, or set XDG_RUNTIME_DIR to a folder of your own, for OBS too",
            )
        folder.chmod(0o700)
    except OSError as error:
        raise SourceLostError(f"{folder} cannot be made: {error}") from error


class Sign:
    """Tells filters that a daemon is here, and for which size their files must have room.

    A filter makes its file only once it sees one, so that OBS alone costs no memory.
    """

    def __init__(self, size: FrameSize) -> None:
        self._text = f"obs-stylizer {VERSION} {size} {os.getpid()}\n"
        self._told: set[str] = set()

    def show(self) -> None:
        """Leave it in every folder that has none, or another's; what keeps it away is logged."""
        for folder in filter_folders():
            try:
                own_folder(folder)
                path = folder / SIGN
                if path.is_file() and path.read_text("utf-8") == self._text:
                    continue
                made = folder / f"{SIGN}.{os.getpid()}"
                made.write_text(self._text, "utf-8")
                made.replace(path)
            except (OSError, SourceLostError) as error:
                if str(error) not in self._told:
                    self._told.add(str(error))
                    log.warning("filters in OBS will not find us: %s", error)

    def remove(self) -> None:
        """Take it away where it is still ours."""
        for folder in filter_folders():
            with suppress(OSError):
                path = folder / SIGN
                if path.read_text("utf-8") == self._text:
                    path.unlink()


def list_filters() -> list[FilterInfo]:
    """Return the filters of every OBS that runs; files that a dead one left are removed."""
    found = []
    for folder in filter_folders():
        if sys.platform != "win32":
            with suppress(OSError):
                if folder.lstat().st_uid != os.geteuid():
                    continue
        for path in sorted(folder.glob("filter-*.map")):
            info = _examine(path)
            if info is not None:
                found.append(info)
    return found


def open_file(path: Path) -> int:
    """Open a mapped file to read and write.

    Raises:
        OSError: it is gone, or a link.
    """
    flags = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0))


def text_of(field: Any) -> str:
    """Return a text of a header, up to its first zero."""
    return bytes(field).split(b"\0", 1)[0].decode("utf-8", "replace")


def _examine(path: Path) -> FilterInfo | None:
    try:
        if sys.platform == "win32":
            with suppress(PermissionError):
                # A living OBS does not let anybody remove its file.
                path.unlink()
                return None
        descriptor = open_file(path)
    except OSError:
        return None
    try:
        if sys.platform != "win32" and os.fstat(descriptor).st_uid != os.geteuid():
            return None
        with os.fdopen(os.dup(descriptor), "rb") as file:
            raw = file.read(HEADER_BYTES)
        age = time.time() - os.fstat(descriptor).st_mtime
        whole = len(raw) == HEADER_BYTES and raw.startswith(MAGIC)
        if (whole or age > _UNFINISHED_SECONDS) and _is_left_over(descriptor):
            path.unlink(missing_ok=True)
            return None
        return _info(path, raw) if whole else None
    except OSError as error:
        log.debug("%s cannot be read: %s", path, error)
        return None
    finally:
        os.close(descriptor)


def _is_left_over(descriptor: int) -> bool:
    """Whether the OBS that made a file is gone: its lock goes with it, however it ends."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _info(path: Path, raw: bytes) -> FilterInfo | None:
    header = np.frombuffer(raw, HEADER, 1)[0]
    version = int(header["version"])
    if version != VERSION:
        return FilterInfo(path, "", "", None, 0.0, 0.0, version)
    if int(header["closed"]):
        return None
    width, height = int(header["source_width"]), int(header["source_height"])
    fps, drawn_at = float(header["fps"]), float(header["drawn_at"])
    return FilterInfo(
        path,
        text_of(header["source_name"]),
        text_of(header["filter_name"]),
        FrameSize(width, height) if width and height else None,
        fps if 0 < fps < 1000 else 0.0,
        drawn_at if np.isfinite(drawn_at) else 0.0,
        version,
        text_of(header["preset"]),
        int(header["daemon_pid"]),
        int(header["beat"]),
    )
