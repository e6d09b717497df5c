"""A sink that is slow, lost, ended or wrong harms nobody but itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from obs_stylizer.clock import SystemClock
from obs_stylizer.daemon.sink_runner import STANDBY_SEQUENCE, SinkRunner
from obs_stylizer.errors import BusyError, SinkEndedError, SinkError, SinkLostError, StylizerError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.sinks.base import Sink, SinkFormat

FORM = SinkFormat(FrameSize(32, 16), 30.0)


class ScriptedSink(Sink):
    """Does what the test tells it to, and remembers what happened."""

    def __init__(self) -> None:
        self.opening: Callable[[], None] = lambda: None
        self.sending: Callable[[], None] = lambda: None
        self.sent: list[tuple[int, bool]] = []
        self.opened = self.closed = 0

    def open(self, form: SinkFormat) -> str:
        self.opened += 1
        self.opening()
        return f"a place for {form.frame_size}"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        self.sending()
        self.sent.append((frame.sequence, repeated))

    def close(self) -> None:
        self.closed += 1


def frame(sequence: int) -> Frame:
    return Frame(np.zeros((16, 32, 3), np.uint8), sequence, time.perf_counter())


def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.005)


def raising(error: StylizerError) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def offer(runner: SinkRunner, sequence: int) -> None:
    runner.offer(frame(sequence), due=time.perf_counter())


def test_frames_are_sent_counted_and_timed() -> None:
    sink = ScriptedSink()
    runner = SinkRunner("scripted", sink, FORM, SystemClock())
    runner.start(5)
    shown = [frame(0), frame(1)]
    standby = Frame(shown[1].pixels.copy(), STANDBY_SEQUENCE, time.perf_counter())
    for count, offered in enumerate([*shown, shown[1], standby, standby]):
        runner.offer(offered, due=time.perf_counter())
        until(lambda count=count: runner.statistics.sent > count)
    runner.stop()
    # The standby picture is no repetition of what was shown before it.
    standing = STANDBY_SEQUENCE
    assert sink.sent == [(0, False), (1, False), (1, True), (standing, False), (standing, True)]
    statistics = runner.statistics
    assert (statistics.repeated, statistics.overwritten) == (3, 0)
    assert statistics.where == "a place for 32x16"
    assert statistics.latency.percentiles().median > 0
    assert (statistics.state, sink.closed) == ("closed", 1)


def test_slow_sink_loses_its_own_frames_and_gets_the_newest() -> None:
    sink, gate = ScriptedSink(), threading.Event()
    sink.sending = lambda: gate.wait(10) and None
    runner = SinkRunner("slow", sink, FORM, SystemClock())
    runner.start(5)
    began = time.perf_counter()
    for sequence in range(50):
        offer(runner, sequence)
        if sequence == 0:
            # The first is being sent; all that follow meet a sink that is busy.
            until(lambda: runner._offered is None)
    assert time.perf_counter() - began < 5
    gate.set()
    until(lambda: sink.sent and sink.sent[-1][0] == 49)
    runner.stop()
    assert [number for number, _ in sink.sent] == [0, 49]
    assert runner.statistics.overwritten == 48


def test_frame_offered_again_before_it_was_sent_is_new_to_the_sink() -> None:
    sink, gate = ScriptedSink(), threading.Event()
    sink.sending = lambda: gate.wait(10) and None
    runner = SinkRunner("slow", sink, FORM, SystemClock())
    runner.start(5)
    offer(runner, 0)
    until(lambda: runner._offered is None)
    second = frame(1)
    for _ in range(3):
        runner.offer(second, due=time.perf_counter())
    gate.set()
    until(lambda: len(sink.sent) == 2)
    runner.stop()
    assert sink.sent == [(0, False), (1, False)]


def test_lost_sink_is_opened_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = ScriptedSink()
    runner = SinkRunner("lost", sink, FORM, SystemClock())
    runner.start(5)
    sink.sending = raising(SinkLostError("the device is gone", "plug it in"))
    sink.opening = sink.sending
    offer(runner, 0)
    until(lambda: runner.statistics.state == "lost")
    until(lambda: sink.opened >= 3)
    sink.opening = sink.sending = lambda: None
    with caplog.at_level("INFO"):
        until(lambda: runner.statistics.state == "open")
    offer(runner, 1)
    until(lambda: sink.sent)
    runner.stop()
    assert sink.sent == [(1, False)]
    assert runner.statistics.reopened == 1
    assert sum("the device is gone" in record.message for record in caplog.records) == 1


def test_sink_that_is_missing_at_the_start_is_waited_for() -> None:
    sink = ScriptedSink()
    sink.opening = raising(SinkLostError("no device yet"))
    runner = SinkRunner("missing", sink, FORM, SystemClock())
    runner.start(5)
    assert runner.statistics.state == "lost"
    assert runner.statistics.where == "no device yet"
    sink.opening = lambda: None
    until(lambda: runner.statistics.state == "open")
    runner.stop()


@pytest.mark.parametrize("error", [SinkError("no such folder"), BusyError("held by process 7")])
def test_sink_that_can_never_work_is_refused_at_the_start(error: StylizerError) -> None:
    sink = ScriptedSink()
    sink.opening = raising(error)
    runner = SinkRunner("wrong", sink, FORM, SystemClock())
    with pytest.raises(type(error), match=error.message):
        runner.start(5)
    runner.stop()
    assert sink.closed == 1


def test_ended_sink_takes_no_more_and_is_closed_once() -> None:
    sink = ScriptedSink()
    runner = SinkRunner("full", sink, FORM, SystemClock())
    runner.start(5)
    sink.sending = raising(SinkEndedError("the disk is full", "make room"))
    offer(runner, 0)
    until(lambda: runner.statistics.state == "ended")
    for sequence in range(1, 5):
        offer(runner, sequence)
    runner.stop()
    assert (sink.sent, sink.opened, sink.closed) == ([], 1, 1)
    assert runner.statistics.where == "the disk is full"


def test_defect_in_a_sink_ends_only_that_sink(log_errors: list[str]) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    sink = ScriptedSink()
    runner = SinkRunner("defect", sink, FORM, SystemClock())
    runner.start(5)
    sink.sending = fail
    offer(runner, 0)
    until(lambda: runner.statistics.state == "ended")
    runner.stop()
    assert sink.closed == 1
    assert "sink defect failed" in log_errors.pop()
