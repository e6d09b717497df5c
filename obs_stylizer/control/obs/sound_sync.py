"""Keeps the sound of some OBS inputs as late as our picture is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.control.obs.kept_offsets import KeptOffsets
from obs_stylizer.control.obs.sound_delay import SoundDelay
from obs_stylizer.errors import ObsError

log = logging.getLogger(__name__)

# What OBS takes.
_LEAST: Final = -950
_MOST: Final = 20_000


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
