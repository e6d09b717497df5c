"""Keeps the sound of some OBS inputs as late as our picture is.

:class:`SoundDelay` decides by how much, :class:`KeptOffsets` keeps what OBS had before we came,
also through a crash of ours, and :class:`SoundSync` sets and restores the offsets.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import platformdirs

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.errors import ObsError

log = logging.getLogger(__name__)

STEP_MS: Final = 15.0
"""Smaller changes are not worth a jump in the sound."""

_WINDOW: Final = 5
_LONGEST_DISAGREEMENT: Final = 30

# What OBS takes.
_LEAST: Final = -950
_MOST: Final = 20_000


class SoundDelay:
    """Follows the latency, measured about once a second, in few and well-founded steps.

    A step waits until the last five measurements agree within 15 ms; where they never do, their
    median has to do after half a minute.
    """

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_WINDOW)
        self._since_step = 0
        self.milliseconds: int | None = None
        """What was decided; None before anything was."""

    def observe(self, latency_ms: float) -> int | None:
        """Take in a measurement; return the delay to go over to, or None to leave it."""
        self._recent.append(latency_ms)
        self._since_step += 1
        if len(self._recent) < _WINDOW:
            return None
        middle = statistics.median(self._recent)
        if self.milliseconds is not None and abs(middle - self.milliseconds) <= STEP_MS:
            self._since_step = 0
            return None
        agree = max(self._recent) - min(self._recent) <= STEP_MS
        if not agree and self._since_step < _LONGEST_DISAGREEMENT:
            return None
        self._since_step = 0
        self.milliseconds = round(middle)
        return self.milliseconds


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


class SoundSync:
    """Sets the audio offsets of inputs, and gives the old ones back. One thread only.

    Args:
        inputs: names of OBS inputs.
        extra_ms: added to the measured latency.
    """

    def __init__(self, inputs: Sequence[str], extra_ms: int, kept: KeptOffsets) -> None:
        self._inputs = tuple(inputs)
        self._extra = extra_ms
        self._kept = kept
        self._delay = SoundDelay()
        self._complained: set[str] = set()

    def observe(self, latency_ms: float, connection: Connection | None) -> None:
        """Take in a measured latency, and pass it on to OBS if it is another."""
        if not self._inputs:
            return
        if self._delay.observe(latency_ms) is not None and connection is not None:
            self._apply(connection)

    def begin(self, connection: Connection) -> None:
        """Set on a fresh connection what was decided, and restore what is not ours any more."""
        left = [name for name in self._kept.read() if name not in self._inputs]
        self._restore(connection, left)
        if self._delay.milliseconds is not None:
            self._apply(connection)

    def end(self, connection: Connection | None) -> None:
        """Give all old offsets back; without a connection they stay in the file."""
        left = list(self._kept.read())
        if connection is not None:
            self._restore(connection, left)
        elif left:
            log.warning(
                "OBS is away: the old audio offsets of %s are restored when we meet it again",
                ", ".join(left),
            )

    def _apply(self, connection: Connection) -> None:
        assert self._delay.milliseconds is not None
        offset = min(_MOST, max(_LEAST, self._delay.milliseconds + self._extra))
        for name in self._inputs:
            try:
                found = connection.ask("GetInputAudioSyncOffset", inputName=name)
                if not self._kept.keep(name, int(found["inputAudioSyncOffset"])):
                    continue
                _set_offset(connection, name, offset).result(5)
            except (ObsError, TimeoutError, KeyError) as error:
                self._complain(name, error)
            else:
                self._complained.discard(name)
                log.info("OBS: the sound of “%s” is delayed by %d ms", name, offset)

    def _restore(self, connection: Connection, names: Sequence[str]) -> None:
        old = self._kept.read()
        asked = [(name, _set_offset(connection, name, old[name])) for name in names]
        for name, done in asked:
            try:
                done.result(5)
            except (ObsError, TimeoutError) as error:
                # An input that is gone needs no offset; for all else there is a next time.
                if isinstance(error, ObsError) and error.code == 600:
                    self._kept.forget(name)
                self._complain(name, error)
            else:
                self._kept.forget(name)
                log.info("OBS: the sound of “%s” is at its old %d ms again", name, old[name])

    def _complain(self, name: str, error: Exception) -> None:
        if name not in self._complained:
            self._complained.add(name)
            log.warning("OBS: the sound of “%s” cannot be delayed: %s", name, error)


def _set_offset(connection: Connection, name: str, offset: int) -> Future[dict[str, Any]]:
    return connection.request(
        "SetInputAudioSyncOffset", inputName=name, inputAudioSyncOffset=offset
    )
