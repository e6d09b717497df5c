"""The audio offsets that OBS had before we came, kept in a file until they are restored."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import platformdirs

log = logging.getLogger(__name__)


def kept_offsets_file() -> Path:
    """Where they are kept, also through a crash of ours."""
    folder = platformdirs.user_state_path("obs-stylizer", appauthor=False)
    return folder / "obs-audio-offsets.json"


class KeptOffsets:
    """Old offsets in milliseconds, by input, of the OBS at one address.

    Args:
        place: address of that OBS; each has its own.
    """

    def __init__(self, path: Path, place: str) -> None:
        self._path = path
        self._place = place

    def read(self) -> dict[str, int]:
        """Return what is still to be restored."""
        return self._read_all().get(self._place, {})

    def keep(self, name: str, offset: int) -> bool:
        """Keep an offset, unless one is kept already; returns whether it is safe now."""
        kept = self._read_all()
        mine = kept.setdefault(self._place, {})
        if name in mine:
            return True
        mine[name] = offset
        return self._write(kept)

    def forget(self, name: str) -> None:
        """Take one out that was restored."""
        kept = self._read_all()
        mine = kept.get(self._place, {})
        if mine.pop(name, None) is None:
            return
        if not mine:
            del kept[self._place]
        self._write(kept)

    def _read_all(self) -> dict[str, dict[str, int]]:
        try:
            stored = json.loads(self._path.read_text("utf-8"))
            return {
                str(place): {str(name): int(offset) for name, offset in offsets.items()}
                for place, offsets in stored.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read, old audio offsets are lost: %s", self._path, error)
            return {}

    def _write(self, kept: dict[str, dict[str, int]]) -> bool:
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            if not kept:
                self._path.unlink(missing_ok=True)
                return True
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(kept, indent=2), "utf-8")
            scratch.replace(self._path)
        except OSError as error:
            log.warning("old audio offsets cannot be kept in %s: %s", self._path, error)
            return False
        return True
