"""The folder beside the finished file where a rendering keeps what it has, until it is whole."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from obs_stylizer.errors import SinkError, UsageError
from obs_stylizer.render.file_names import sibling
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.segment_file import SegmentNote, read_note, write_whole

log = logging.getLogger(__name__)

_MANIFEST: Final = "render.json"


class WorkFolder:
    """Segments, what was remembered at their ends, and what was asked for.

    Args:
        target: the finished file.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = sibling(target, ".", ".render")

    def begin(self, facts: Mapping[str, object]) -> None:
        """Make the folder anew for a rendering described by ``facts``.

        Raises:
            SinkError: it cannot be made.
        """
        self.remove()
        try:
            self.path.mkdir(parents=True)
            write_whole(self.path / _MANIFEST, json.dumps(facts, indent=1).encode())
        except OSError as error:
            raise SinkError(
                f"cannot write beside {self.target}: {error.strerror}", "choose another folder"
            ) from error

    def facts(self) -> dict[str, Any] | None:
        """Return what an earlier rendering was asked for; None if there was none."""
        try:
            found = json.loads((self.path / _MANIFEST).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def check_same(self, facts: Mapping[str, object]) -> None:
        """Compare with what the earlier rendering was asked for.

        Raises:
            UsageError: something differs, so that its segments do not fit.
        """
        before = self.facts() or {}
        now = json.loads(json.dumps(facts))
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                raise UsageError(
                    f"{self.target.name} cannot be resumed, {key} differs: "
                    f"{_short(before.get(key))} before, {_short(now.get(key))} now",
                    "ask for the same again, or leave --resume out to begin anew",
                )

    def finished(self) -> list[SegmentNote]:
        """Return the whole segments from the first one on, up to the first gap."""
        notes: list[SegmentNote] = []
        while (note := read_note(self.path, len(notes))) is not None:
            notes.append(note.without_packets())
        return notes

    def keep_memory(self, number: int, memory: Memory) -> None:
        """Keep what is remembered ahead of segment ``number``.

        Raises:
            SinkError: it cannot be written.
        """
        try:
            write_whole(self._memory_path(number), memory.to_bytes())
        except OSError as error:
            raise SinkError(
                f"cannot write into {self.path}: {error.strerror}",
                "make room; what is finished is kept, go on with --resume",
            ) from error

    def drop_memory(self, number: int) -> None:
        """Forget it."""
        self._memory_path(number).unlink(missing_ok=True)

    def memory(self, number: int) -> Memory | None:
        """Return what is remembered ahead of segment ``number``, or None."""
        try:
            return Memory.from_bytes(self._memory_path(number).read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remove(self) -> None:
        """Delete the folder; what cannot be deleted is told in the log."""
        if not self.path.exists():
            return
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            log.warning("%s cannot be deleted: %s", self.path, error)

    def muxed_path(self) -> Path:
        """Where the finished file is put together."""
        return self.path / f"joined{self.target.suffix.lower()}"

    def publish(self) -> None:
        """Give the finished file its name, and delete the rest.

        Raises:
            SinkError: the name cannot be given.
        """
        try:
            self.muxed_path().replace(self.target)
        except OSError as error:
            raise SinkError(
                f"cannot write {self.target}: {error.strerror}",
                f"the finished file is {self.muxed_path()}",
            ) from error
        self.remove()

    def _memory_path(self, number: int) -> Path:
        return self.path / f"memory-{number:05}.bin"

    def clear_partial(self) -> None:
        """Delete what an interrupted step left."""
        with contextlib.suppress(OSError):
            for pattern in ("*.part", "joined.*"):
                for path in self.path.glob(pattern):
                    path.unlink(missing_ok=True)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
