"""The metronome and the back-off, on times that are passed in."""

from __future__ import annotations

import random

import pytest

from obs_stylizer.realtime.pacing import Backoff, Metronome


def run_metronome(
    source_fps: float, sink_fps: float, phase: float, jitter: float, seconds: float = 20.0
) -> tuple[Metronome, list[float], int]:
    """Tick through frames of ``source_fps`` that take 13 ms and some more to be worked on.

    Returns how long each lay in the mailbox, and how many ticks had none.
    """
    chance = random.Random(1)
    count = int(seconds * source_fps)
    captured = [phase + k / source_fps for k in range(count)]
    arrivals: list[float] = []
    for moment in captured:
        arrival = moment + 0.013 + abs(chance.gauss(0, jitter))
        arrivals.append(max(arrival, arrivals[-1] + 0.004 if arrivals else 0.0))
    metronome = Metronome(sink_fps, 0.0)
    ages, repeats, taken = [], 0, -1
    while metronome.next_tick < arrivals[-1]:
        now = metronome.next_tick
        newest = taken
        while newest + 1 < count and arrivals[newest + 1] <= now:
            newest += 1
        if newest != taken:
            ages.append(now - arrivals[newest])
            metronome.arrived(now - captured[newest], arrivals[newest] - captured[newest])
            taken = newest
        else:
            repeats += 1
        metronome.ticked(now)
    return metronome, ages, repeats


@pytest.mark.parametrize("phase", [0.0, 0.004, 0.009, 0.014])
@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_ticks_come_to_fall_just_after_arrivals(fps: float, phase: float) -> None:
    metronome, ages, repeats = run_metronome(fps, fps, phase, jitter=0.0005)
    settled = sorted(ages[len(ages) // 2 :])
    assert metronome.locked
    assert settled[int(len(settled) * 0.95)] < 0.006
    assert repeats <= 0.02 * len(ages)


def test_follows_a_source_that_is_a_little_off() -> None:
    _, ages, repeats = run_metronome(29.97, 30.0, 0.01, jitter=0.0005, seconds=60)
    settled = ages[len(ages) // 2 :]
    assert max(settled) < 0.008
    assert repeats <= 5


def test_source_of_half_the_rate_is_repeated_once_each() -> None:
    _, ages, repeats = run_metronome(30.0, 60.0, 0.01, jitter=0.0005)
    assert repeats == pytest.approx(len(ages), rel=0.05)
    assert sorted(ages[100:])[int(len(ages[100:]) * 0.95)] < 0.006


@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_long_tail_costs_few_repeats_and_no_rate(fps: float) -> None:
    metronome, ages, repeats = run_metronome(fps, fps, 0.004, jitter=0.004, seconds=60)
    assert metronome.next_tick * fps == pytest.approx(len(ages) + repeats, rel=0.003)
    assert repeats <= 0.02 * len(ages)


def test_leaves_the_clock_alone_for_another_rate() -> None:
    metronome, _, _ = run_metronome(47.0, 60.0, 0.0, jitter=0.003)
    assert not metronome.locked


def test_tick_rate_holds_whatever_arrives() -> None:
    metronome = Metronome(60.0, 0.0)
    chance = random.Random(2)
    for _ in range(6000):
        metronome.arrived(chance.uniform(0, 1 / 60), 0.01)
        metronome.ticked(metronome.next_tick)
    assert metronome.next_tick == pytest.approx(100.0, rel=0.005)


def test_missed_ticks_are_counted_and_left_out() -> None:
    metronome = Metronome(10.0, 0.0)
    assert metronome.ticked(0.02) == pytest.approx(0.02)
    assert metronome.missed == 0
    metronome.ticked(0.55)
    assert metronome.missed == 4
    assert metronome.next_tick == pytest.approx(0.6)


def test_backoff_grows_to_its_limit_and_begins_anew() -> None:
    backoff = Backoff(0.25, 2.0)
    assert [backoff.next() for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]
    backoff.reset()
    assert backoff.next() == 0.25
