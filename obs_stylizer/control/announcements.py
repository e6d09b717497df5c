"""What adapters hear: every change of what is on air, and everything worth telling people."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What an announcement is about."""

    STATE = "state"
    """Something of what is on air is another; details: all of it, and ``changed``."""
    PRESET_FAILED = "preset-failed"
    PRESETS_CHANGED = "presets-changed"
    SOURCE_LOST = "source-lost"
    SOURCE_FAILED = "source-failed"
    SOURCE_ENDED = "source-ended"
    WORKER_LOST = "worker-lost"
    WORKER_STARTED = "worker-started"
    GPU_GIVEN_UP = "gpu-given-up"
    RECORDING_ENDED = "recording-ended"
    SNAPSHOT = "snapshot"
    STATISTICS = "statistics"
    """Once a second; details: as in the statistics file."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """One thing that happened.

    Attributes:
        kind: what it is about.
        text: a line for people; "" where there is nothing to say.
        details: plain JSON values.
    """

    kind: Kind
    text: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Hearer = Callable[[Announcement], None]
"""Takes an announcement and returns at once; it is called on another's thread."""


class Announcer:
    """Tells everything to all who listen. Any thread may call anything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hearers: tuple[Hearer, ...] = ()

    def subscribe(self, hearer: Hearer) -> Callable[[], None]:
        """Let ``hearer`` hear from now on; returns what ends that."""
        with self._lock:
            self._hearers += (hearer,)

        def unsubscribe() -> None:
            with self._lock:
                self._hearers = tuple(one for one in self._hearers if one is not hearer)

        return unsubscribe

    def announce(self, announcement: Announcement) -> None:
        """Tell everybody; one who fails keeps it from nobody else."""
        for hearer in self._hearers:
            try:
                hearer(announcement)
            except Exception:
                log.exception("%s was not taken in", announcement.kind)
