"""A folder that is watched: each file that comes into it is rendered once, when it is whole."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from obs_stylizer.clock import Clock, SystemClock
from obs_stylizer.errors import SourceError, StylizerError, UsageError
from obs_stylizer.pictures import is_leftover, is_picture
from obs_stylizer.render.file_render import RenderStoppedError, Result
from obs_stylizer.render.pictures import written_name
from obs_stylizer.render.requests import Kind, Request, checked_container, container_for
from obs_stylizer.render.segment_file import write_whole
from obs_stylizer.render.worklist import RenderOptions

log = logging.getLogger(__name__)

LEDGER: Final = ".obs-stylizer-watch.json"
"""In the target's folder: what was rendered already."""

SETTLE_SECONDS: Final = 3.0
"""How long a file must not have changed to count as whole."""

_POLL_SECONDS: Final = 0.5
_VIDEOS: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".flv", ".wmv", ".ogv", ".3gp", ".mxf", ".y4m"}
)

_BEGUN: Final = "begun"
_DONE: Final = "done"
_FAILED: Final = "failed"

_Stamp = tuple[int, int]


@dataclass(slots=True)
class _Seen:
    """A file as it was last looked at, and since when it is like that."""

    stamp: _Stamp
    since: float
    is_told: bool = False


class Ledger:
    """Remembers on the disk which files were done, so that a restart does none twice.

    Args:
        folder: of the target.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LEDGER
        self._files: dict[str, object] = {}
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self._path} cannot be read: {error}",
                "delete it; files that were rendered already are then left alone by their results",
            ) from error
        self._files = found if isinstance(found, dict) else {}

    def knows(self, name: str, stamp: _Stamp) -> bool:
        """Whether that file, as it is now, needs nothing more."""
        entry = self._entry(name)
        return entry is not None and entry[:2] == list(stamp) and entry[2] != _BEGUN

    def has_begun(self, name: str, stamp: _Stamp) -> bool:
        """Whether that file, as it is now, was begun and no end of it was noted."""
        return self._entry(name) == [*stamp, _BEGUN, ""]

    def has_done(self, name: str) -> bool:
        """Whether a file of that name, as it was then, was rendered."""
        entry = self._entry(name)
        return entry is not None and entry[2] == _DONE

    def note(self, name: str, stamp: _Stamp, state: str, error: str = "") -> None:
        """Note what became of a file: one of begun, done and failed."""
        self._files[name] = [*stamp, state, error]
        write_whole(self._path, json.dumps(self._files, indent=1).encode())

    def _entry(self, name: str) -> list[object] | None:
        entry = self._files.get(name)
        return entry if isinstance(entry, list) and len(entry) == 4 else None


def watch_folder(
    folder: Path,
    target: Path,
    options: RenderOptions,
    container: str,
    render: Callable[[Request, RenderOptions], Result],
    stop: threading.Event,
    *,
    clock: Clock | None = None,
) -> None:
    """Render what comes into ``folder`` until ``stop`` is set.

    A file is whole when it has not changed for :data:`SETTLE_SECONDS` and can be opened. One that
    fails is told once and tried again when it changes. What was interrupted is gone on with.

    Raises:
        RenderStoppedError: ``stop`` was set in the middle of a file.
        UsageError: the folders do not go together.
    """
    suffix = checked_container(container, options.output.codec)
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", "make it first")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file", "give -o a folder")
    target.mkdir(parents=True, exist_ok=True)
    if target.resolve() == folder.resolve():
        raise UsageError(f"{folder} would be watched for its own results", "give -o another folder")
    now = (clock or SystemClock()).now
    ledger = Ledger(target)
    seen: dict[str, _Seen] = {}
    while not stop.is_set():
        for path in _whole_files(folder, seen, ledger, now()):
            _render_one(path, seen[path.name].stamp, target, options, suffix, ledger, render)
            if stop.is_set():
                return
        stop.wait(_POLL_SECONDS)


def _render_one(
    path: Path,
    stamp: _Stamp,
    target: Path,
    options: RenderOptions,
    suffix: str,
    ledger: Ledger,
    render: Callable[[Request, RenderOptions], Result],
) -> None:
    request = _request(path, target, options, suffix)
    begun = ledger.has_begun(path.name, stamp)
    if begun and request.target is not None and request.target.exists():
        # It got its final name, and then there was no time left to note it.
        ledger.note(path.name, stamp, _DONE)
        return
    # The result of an earlier file of that name may be replaced, nobody else's may.
    output = replace(options.output, resume=begun, overwrite=ledger.has_done(path.name))
    if not output.overwrite:
        ledger.note(path.name, stamp, _BEGUN)
    try:
        render(request, replace(options, output=output))
    except RenderStoppedError:
        raise
    except StylizerError as error:
        log.warning("%s is not rendered: %s", path.name, error)
        ledger.note(path.name, stamp, _FAILED, str(error))
    else:
        ledger.note(path.name, stamp, _DONE)


def _whole_files(folder: Path, seen: dict[str, _Seen], ledger: Ledger, moment: float) -> list[Path]:
    """Return files that are new and have not changed for a while."""
    ready = []
    present = set()
    for path in sorted(folder.iterdir()):
        if is_leftover(path):
            continue
        try:
            stat = path.stat()
        except OSError:
            continue
        present.add(path.name)
        stamp = (stat.st_size, stat.st_mtime_ns)
        known = seen.get(path.name)
        if known is None or known.stamp != stamp:
            seen[path.name] = _Seen(stamp, moment)
        elif moment - known.since < SETTLE_SECONDS or not stat.st_size:
            continue
        elif not (is_picture(path) or path.suffix.lower() in _VIDEOS):
            if not known.is_told:
                known.is_told = True
                log.info("%s is left alone: its name is that of no video or picture", path.name)
        elif not ledger.knows(path.name, stamp):
            ready.append(path)
    for name in seen.keys() - present:
        del seen[name]
    return ready


def _request(path: Path, target: Path, options: RenderOptions, suffix: str) -> Request:
    if is_picture(path):
        others = {other.name for other in path.parent.iterdir()} - {path.name}
        return Request(Kind.PICTURE, path, target / written_name(path, others))
    name = f"{path.stem}{container_for(path, options.output.codec, suffix)}"
    return Request(Kind.CLIP, path, target / name)
