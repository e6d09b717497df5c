"""When the daemon ends by itself."""

from __future__ import annotations

from types import SimpleNamespace

from obs_stylizer.clock import ManualClock
from obs_stylizer.daemon.end_watch import EndWatch


def presenter(newest: int = -1, *, finished: bool = False) -> SimpleNamespace:
    return SimpleNamespace(newest_sequence=newest, finished=finished)


def test_it_goes_on_until_the_frames_asked_for_were_sent() -> None:
    watch = EndWatch(None, ManualClock())
    assert not watch.is_over(presenter())
    assert watch.is_over(presenter(finished=True))


def test_the_time_counts_from_going_on_air() -> None:
    clock = ManualClock()
    watch = EndWatch(10.0, clock)
    clock.advance(9.0)
    watch.begin()
    clock.advance(9.0)
    assert not watch.is_over(presenter())
    clock.advance(1.0)
    assert watch.is_over(presenter())


def test_the_last_frame_of_a_source_is_shown_if_it_still_comes() -> None:
    clock = ManualClock()
    watch = EndWatch(None, clock)
    watch.source_ended(30)
    assert not watch.is_over(presenter(28))
    assert watch.is_over(presenter(29))
    clock.advance(5.1)
    assert watch.is_over(presenter(28))
