"""What is counted and timed on the live path, bounded in memory however long it runs."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from obs_stylizer.realtime.mailbox import STAGES, StyledFrame, WorkerCounters

_KEPT: Final = 2048
_RATE_SECONDS: Final = 1.0
_RECENT: Final = 30


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Median and tails of a time, in milliseconds; NaN-free: 0 where nothing was measured."""

    median: float = 0.0
    p95: float = 0.0
    p99: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Percentiles:
        """Nearest-rank percentiles of times given in seconds."""
        ordered = sorted(seconds)
        if not ordered:
            return cls()

        def rank(share: float) -> float:
            return round(1000 * ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

        return cls(rank(0.50), rank(0.95), rank(0.99))


class Samples:
    """The last 2048 of some times, in seconds. Safe for one writer and any readers."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Record one."""
        with self._lock:
            self._times.append(seconds)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._times.clear()

    def percentiles(self) -> Percentiles:
        """See :class:`Percentiles`."""
        with self._lock:
            times = list(self._times)
        return Percentiles.of(times)

    def recent_median(self) -> float:
        """Median of the last thirty, in milliseconds; 0 where nothing was measured."""
        with self._lock:
            times = list(self._times)[-_RECENT:]
        return Percentiles.of(times).median


class RateMeter:
    """Events a second, from a counter that is looked at now and then."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=64)

    def update(self, now: float, count: int) -> float:
        """Take note that the counter stands at ``count``; return the rate of the last second."""
        if self._seen and count < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_SECONDS:
            self._seen.popleft()
        first_time, first_count = self._seen[0]
        elapsed = now - first_time
        return (count - first_count) / elapsed if elapsed > 0 else 0.0


class SinkStatistics:
    """What one sink did. Its thread writes, others read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "opening"
        self.where = ""
        self.sent = 0
        self.repeated = 0
        self.overwritten = 0
        self.reopened = 0
        self.latency = Samples()
        self.late = Samples()
        self.send_time = Samples()

    def reset(self) -> None:
        """Begin to count anew, after a warm-up."""
        self.sent = self.repeated = self.overwritten = 0
        for samples in (self.latency, self.late, self.send_time):
            samples.clear()


class StageTimes:
    """Times of the last frames in each stage of the worker."""

    def __init__(self) -> None:
        self._samples = {name: Samples() for name in STAGES}
        self._busy: deque[float] = deque(maxlen=_RECENT)

    def add(self, styled: StyledFrame) -> None:
        """Record one fresh frame."""
        for name, seconds in zip(STAGES, styled.stages, strict=True):
            # A frame that needed no run of the generator says nothing about how long one takes.
            if name != "generate" or seconds > 0:
                self._samples[name].add(seconds)
        self._busy.append(sum(styled.stages[1:]))

    def recent_busy(self) -> float | None:
        """Median seconds of work in each of the last frames, waiting left out; None before any."""
        times = sorted(self._busy)
        return times[len(times) // 2] if times else None

    def reset(self) -> None:
        """Forget all."""
        for samples in self._samples.values():
            samples.clear()

    def medians(self) -> dict[str, float]:
        """Median milliseconds of each stage."""
        return {name: samples.percentiles().median for name, samples in self._samples.items()}


@dataclass(frozen=True, slots=True)
class SinkReport:
    """One sink in a :class:`Statistics`."""

    name: str
    state: str
    where: str
    fps: float
    sent: int
    repeated: int
    dropped: int
    reopened: int
    latency_ms: Percentiles
    late_ms: Percentiles
    send_ms: Percentiles


@dataclass(frozen=True, slots=True)
class Statistics:
    """One second of everything; the same numbers feed ``--stats``, panel and bench.

    Attributes:
        uptime_s: seconds since the daemon went on air.
        captured, styled, sent, dropped, repeated: frames since then. Of the styled ones,
            ``reprojected`` show a picture that was carried to them along the motion; ``generated``
            is how many key pictures a generator made. Dropped are frames of the
            source that a newer one overtook; repeated are ticks that sent the last picture again.
        missed_ticks: ticks at which nothing could be sent.
        fps: of ``source``, ``worker``, ``keys`` (pictures that a generator made) and ``sink``,
            over the last second.
        latency_ms: capture to end of send, of fresh frames.
        recent_latency_ms: the same, median of the last thirty.
        late_ms: how late the sends began, against the metronome.
        stages_ms: median time in each stage of the worker.
        memory_mb: resident memory of all processes of the daemon, shared pages counted once.
    """

    uptime_s: float = 0.0
    source: str = ""
    source_state: str = ""
    preset: str = ""
    strength: float = 1.0
    picture: str = ""
    provider: str = ""
    device: str = ""
    precision: str = ""
    why: str = ""
    frame_size: str = ""
    process_size: str = ""
    generator: str = ""
    captured: int = 0
    styled: int = 0
    generated: int = 0
    reprojected: int = 0
    sent: int = 0
    dropped: int = 0
    repeated: int = 0
    missed_ticks: int = 0
    fps: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Percentiles = Percentiles()
    recent_latency_ms: float = 0.0
    late_ms: Percentiles = Percentiles()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    worker_state: str = ""
    worker_pid: int = 0
    worker_restarts: int = 0
    memory_mb: float = 0.0
    sinks: tuple[SinkReport, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


class PathStatistics:
    """Everything the daemon counts on the way from source to sinks."""

    def __init__(self) -> None:
        self.stages = StageTimes()
        self.sinks: list[SinkStatistics] = []
        self.missed_ticks = 0
        self._base = WorkerCounters(0, 0, 0, 0.0)
        self._rates = {name: RateMeter() for name in ("source", "worker", "keys", "sink")}
        self._sink_rates: dict[str, RateMeter] = {}

    def reset(self, counters: WorkerCounters) -> None:
        """Begin to count anew, after a warm-up."""
        self._base = counters
        self.missed_ticks = 0
        self.stages.reset()
        for sink in self.sinks:
            sink.reset()

    def take(self, now: float, counters: WorkerCounters) -> Statistics:
        """Return the counts and times at ``now``; who asks fills in the names and states."""
        reports = tuple(self._sink_report(sink, now) for sink in self.sinks)
        first = self.sinks[0] if self.sinks else SinkStatistics("none")
        return Statistics(
            captured=counters.captured - self._base.captured,
            dropped=counters.overwritten - self._base.overwritten,
            styled=counters.styled - self._base.styled,
            generated=counters.generated - self._base.generated,
            reprojected=counters.reprojected - self._base.reprojected,
            sent=first.sent,
            repeated=first.repeated,
            missed_ticks=self.missed_ticks,
            fps={
                "source": round(self._rates["source"].update(now, counters.captured), 2),
                "worker": round(self._rates["worker"].update(now, counters.styled), 2),
                "keys": round(self._rates["keys"].update(now, counters.generated), 2),
                "sink": round(self._rates["sink"].update(now, first.sent), 2),
            },
            latency_ms=first.latency.percentiles(),
            recent_latency_ms=first.latency.recent_median(),
            late_ms=first.late.percentiles(),
            stages_ms=self.stages.medians(),
            sinks=reports,
        )

    def _sink_report(self, sink: SinkStatistics, now: float) -> SinkReport:
        meter = self._sink_rates.setdefault(sink.name, RateMeter())
        return SinkReport(
            name=sink.name,
            state=sink.state,
            where=sink.where,
            fps=round(meter.update(now, sink.sent), 2),
            sent=sink.sent,
            repeated=sink.repeated,
            dropped=sink.overwritten,
            reopened=sink.reopened,
            latency_ms=sink.latency.percentiles(),
            late_ms=sink.late.percentiles(),
            send_ms=sink.send_time.percentiles(),
        )
