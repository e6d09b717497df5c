"""What the daemon tells of itself beside its counters: its memory, and the statistics file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psutil

from obs_stylizer.realtime.statistics import Statistics

log = logging.getLogger(__name__)

_MEMORY_SECONDS: Final = 10.0


class StatisticsFile:
    """Statistics as JSON in a file that is always whole; None for no file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fails = False

    def write(self, statistics: Statistics) -> None:
        """Put these in place of the ones before; where that fails, it is tried the next time."""
        if self._path is None:
            return
        scratch = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps(statistics.as_dict(), indent=2), "utf-8")
            scratch.replace(self._path)
        except OSError as error:
            if not self._fails:
                log.warning("statistics cannot be written for now: %s", error)
            self._fails = True
        else:
            self._fails = False


class MemoryCount:
    """Memory of all our processes, counted now and then: the system stops one to count it.

    Args:
        pids: the process numbers.
    """

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self._counted: tuple[float, int | None, float] = (float("-inf"), None, 0.0)

    def megabytes(self, now: float, worker: int | None) -> float:
        """Return what was counted last; counted anew after ten seconds or for another worker."""
        counted_at, counted_worker, megabytes = self._counted
        if now - counted_at >= _MEMORY_SECONDS or worker != counted_worker:
            megabytes = round(resident_megabytes(self._pids()), 1)
            self._counted = (now, worker, megabytes)
        return megabytes


def resident_megabytes(pids: Sequence[int]) -> float:
    """Memory of some processes in MB, shared pages counted once where the system tells (Linux)."""
    total = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            try:
                total += process.memory_full_info().pss
            except (AttributeError, psutil.AccessDenied):
                total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 1e6
