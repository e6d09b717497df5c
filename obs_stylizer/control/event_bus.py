"""The event bus: every change of what is on air, and everything worth telling people."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

log = logging.getLogger(__name__)


class EventKind(StrEnum):
    """What an event is about."""

    STATE = "state"
    """Something of what is on air is another; details: all of it, and ``changed``."""
    PRESET_FAILED = "preset-failed"
    PRESET_QUARANTINED = "preset-quarantined"
    """Workers died under a preset, and it is set aside."""
    PRESETS_CHANGED = "presets-changed"
    SOURCE_LOST = "source-lost"
    SOURCE_FAILED = "source-failed"
    SOURCE_ENDED = "source-ended"
    WORKER_LOST = "worker-lost"
    WORKER_STARTED = "worker-started"
    GPU_GIVEN_UP = "gpu-given-up"
    RECORDING_ENDED = "recording-ended"
    SNAPSHOT = "snapshot"
    STYLE_LEARNT = "style-learnt"
    """Learning a style has ended; details: its name, and how."""
    STATISTICS = "statistics"
    """Once a second; details: as in the statistics file."""


@dataclass(frozen=True, slots=True)
class ControlEvent:
    """One thing that happened.

    Attributes:
        kind: what it is about.
        text: a line for people; "" where there is nothing to say.
        details: plain JSON values.
    """

    kind: EventKind
    text: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Subscriber = Callable[[ControlEvent], None]
"""Takes an event and returns at once; it is called on another's thread."""


class EventBus:
    """Tells everything to all who listen. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Let ``subscriber`` receive every event from now on; returns what ends that."""
        with self._lock:
            self._subscribers += (subscriber,)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(one for one in self._subscribers if one is not subscriber)

        return unsubscribe

    def publish(self, event: ControlEvent) -> None:
        """Tell everybody; one who fails keeps it from nobody else."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("%s was not taken in", event.kind)
