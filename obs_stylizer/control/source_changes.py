"""Changes of source that outlive the worker which was asked for them."""

from __future__ import annotations

from typing import Final

from obs_stylizer.control.commands import Answer
from obs_stylizer.control.preset_changes import WorkerRequests
from obs_stylizer.errors import SourceError
from obs_stylizer.realtime import events, requests
from obs_stylizer.realtime.events import Event
from obs_stylizer.sources.spec import SourceSpec

_TRIES: Final = 2


class SourceChanges:
    """The part of the controller that changes the source; runs on its thread.

    Args:
        worker: where requests go.
    """

    def __init__(self, worker: WorkerRequests) -> None:
        self._worker = worker
        self._wanted: SourceSpec | None = None
        self._tries = 0

    def change(self, spec: SourceSpec) -> Answer:
        """Go over to a source; what comes of it is told by events."""
        self._wanted, self._tries = spec, 1
        self._worker.request(requests.ChangeSource(spec))
        return Answer(f"going over to {spec}", {"source": str(spec)})

    def greet_worker(self) -> events.SourceFailed | None:
        """Ask a fresh worker for the source that the last one neither opened nor refused.

        Returns:
            What is to be told where two workers did not survive it.
        """
        spec = self._wanted
        if spec is None:
            return None
        if self._tries < _TRIES:
            self._tries += 1
            self._worker.request(requests.ChangeSource(spec))
            return None
        self._wanted = None
        error = SourceError(f"source {spec}: the worker did not survive it")
        return events.SourceFailed(spec, error)

    def settle(self, event: Event) -> None:
        """Ask no later worker for a source that this one has opened, or cannot open."""
        told = (events.SourceOpened, events.SourceLost, events.SourceFailed)
        if isinstance(event, told) and event.source == self._wanted:
            self._wanted = None
