"""What the daemon tells of itself: statistics, its memory, and the statistics file."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from obs_stylizer.clock import Clock
from obs_stylizer.control.controller import Controller
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.daemon.supervisor import Supervisor
from obs_stylizer.realtime.events import LoadMeasured
from obs_stylizer.realtime.governor import LEAST_KEY_PICTURES
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.statistics import PathStatistics, Statistics

log = logging.getLogger(__name__)

_MEMORY_SECONDS: Final = 10.0


class LiveStatistics:
    """What was counted and timed on the live path, put together from the parts that know.

    Args:
        path: what presenter and sinks count.
        picture: kind of the picture that is sent.
        pids: process numbers of the daemon and of all that it started.
    """

    def __init__(
        self,
        options: DaemonOptions,
        path: PathStatistics,
        mailbox: SharedMailbox,
        controller: Controller,
        supervisor: Supervisor,
        picture: Callable[[], str],
        pids: Callable[[], Sequence[int]],
        clock: Clock,
    ) -> None:
        self._options = options
        self._path = path
        self._mailbox = mailbox
        self._controller = controller
        self._supervisor = supervisor
        self._picture = picture
        self._memory = MemoryCount(pids)
        self._file = StatisticsFile(options.stats_file)
        self._clock = clock
        self._since = clock.now()
        self.newest = Statistics()
        """As they stood when :meth:`renew` was called last."""

    def begin(self) -> None:
        """Count the time from now on."""
        self._since = self._clock.now()

    def reset(self) -> None:
        """Begin to count anew, after a warm-up."""
        self._path.reset(self._mailbox.counters())
        self.begin()

    def take(self) -> Statistics:
        """Return what was counted and timed so far."""
        now = self._clock.now()
        on_air, supervisor = self._controller.on_air, self._supervisor
        return replace(
            self._path.take(now, self._mailbox.counters()),
            uptime_s=round(now - self._since, 3),
            source=on_air.source,
            source_state=on_air.source_state,
            preset=on_air.preset,
            strength=on_air.strength,
            picture=self._picture(),
            provider=on_air.provider,
            device=on_air.device,
            precision=on_air.precision,
            why=on_air.why,
            frame_size=str(self._options.size),
            process_size=on_air.process_size,
            generator=on_air.generator,
            worker_state=supervisor.state,
            worker_pid=supervisor.pid or 0,
            worker_restarts=supervisor.restarts,
            memory_mb=self._memory.megabytes(now, supervisor.pid),
        )

    def renew(self) -> None:
        """Take them anew as :attr:`newest`."""
        self.newest = self.take()

    def load(self) -> LoadMeasured | None:
        """Return how busy the worker is, for the governor; None while it styles nothing."""
        options = self._options
        recent = self._path.stages.recent_busy()
        if recent is None or self.newest.fps["worker"] <= 0:
            return None
        wanted = min(options.fps, self._controller.on_air.source_fps or options.fps)
        if options.motion and options.paced:
            # Frames between key pictures cost the generator nothing.
            wanted = min(wanted, LEAST_KEY_PICTURES)
        return LoadMeasured(recent, wanted)

    def write(self) -> None:
        """Put the newest into the statistics file, if one was asked for."""
        self._file.write(self.newest)


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
