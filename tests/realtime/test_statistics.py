"""Counts and percentiles against values worked out by hand."""

from __future__ import annotations

import json

import pytest

from obs_stylizer.realtime.mailbox import WorkerCounters
from obs_stylizer.realtime.statistics import (
    PathStatistics,
    Percentiles,
    RateMeter,
    Samples,
    SinkStatistics,
)


def test_percentiles_by_nearest_rank() -> None:
    seconds = [number / 1000 for number in range(1, 101)]
    assert Percentiles.of(seconds) == Percentiles(50.0, 95.0, 99.0)
    assert Percentiles.of([]) == Percentiles(0, 0, 0)
    assert Percentiles.of([0.004]) == Percentiles(4.0, 4.0, 4.0)


def test_samples_are_bounded() -> None:
    samples = Samples()
    for _ in range(3000):
        samples.add(0.001)
    samples.add(1.0)
    assert len(samples._times) == 2048
    assert samples.percentiles().median == 1.0


def test_recent_median_follows_soon() -> None:
    samples = Samples()
    assert samples.recent_median() == 0.0
    for seconds in [0.020] * 500 + [0.080] * 30:
        samples.add(seconds)
    assert samples.recent_median() == 80.0
    assert samples.percentiles().median == 20.0


def test_rate_is_that_of_the_last_second() -> None:
    meter = RateMeter()
    rates = [meter.update(float(second), 30 * second) for second in range(5)]
    assert rates[1:] == [30.0] * 4
    assert meter.update(5.0, 120) == pytest.approx(0.0)


def test_rate_meter_starts_over_with_its_counter() -> None:
    meter = RateMeter()
    meter.update(0.0, 100)
    assert meter.update(1.0, 5) == 0.0
    assert meter.update(2.0, 35) == 30.0


def test_statistics_are_those_since_the_reset_and_fit_json() -> None:
    path = PathStatistics()
    sink = SinkStatistics("null")
    sink.sent, sink.repeated = 10, 2
    path.sinks.append(sink)
    path.reset(WorkerCounters(100, 10, 90, 0.0))
    sink.sent, sink.repeated = 8, 1
    sink.latency.add(0.02)
    taken = path.take(1.0, WorkerCounters(160, 15, 145, 0.0))
    assert (taken.captured, taken.dropped, taken.styled) == (60, 5, 55)
    assert (taken.sent, taken.repeated) == (8, 1)
    assert taken.latency_ms.median == 20.0
    assert json.loads(json.dumps(taken.as_dict()))["sinks"][0]["name"] == "null"
