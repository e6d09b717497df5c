"""The beat of sources that have none of their own."""

from __future__ import annotations

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.sources.timing import FrameTimer


def test_ticks_are_evenly_spaced() -> None:
    clock = ManualClock(10.0)
    timer = FrameTimer(clock, 20, paced=True)
    assert [timer.wait(1) for _ in range(4)] == pytest.approx([10.0, 10.05, 10.10, 10.15])


@pytest.mark.parametrize("fps", [5, 120])
def test_any_rate(fps: float) -> None:
    clock = ManualClock()
    timer = FrameTimer(clock, fps, paced=True)
    for _ in range(fps + 1):
        timer.wait(1)
    assert clock.now() == pytest.approx(1.0)


def test_nothing_before_the_time_is_up() -> None:
    clock = ManualClock()
    timer = FrameTimer(clock, 10, paced=True)
    timer.wait(1)
    assert timer.wait(0.04) is None
    assert clock.now() == pytest.approx(0.04)
    assert timer.wait(0.1) == pytest.approx(0.1)


def test_missed_ticks_are_not_made_up_for_and_the_beat_is_kept() -> None:
    clock = ManualClock()
    timer = FrameTimer(clock, 10, paced=True)
    timer.wait(1)
    clock.advance(0.57)
    assert timer.wait(1) == pytest.approx(0.5)
    assert timer.wait(1) == pytest.approx(0.6)


def test_unpaced_ticks_are_due_at_once() -> None:
    clock = ManualClock(3.0)
    timer = FrameTimer(clock, 10, paced=False)
    assert [timer.wait(0) for _ in range(3)] == [3.0, 3.0, 3.0]
