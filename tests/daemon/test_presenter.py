"""The presenter on a clock that is moved by hand: what is sent at each tick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.daemon.presenter import Presenter
from obs_stylizer.daemon.sink_runner import STANDBY_SEQUENCE, SinkRunner
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.realtime.mailbox import SharedMailbox, StyledFrame
from obs_stylizer.realtime.pacing import Metronome
from obs_stylizer.realtime.statistics import PathStatistics

SIZE = FrameSize(64, 32)


class Recorder:
    """In the place of a sink's runner: keeps what it is offered."""

    def __init__(self) -> None:
        self.offered: list[Frame] = []

    def offer(self, frame: Frame, *, due: float) -> None:
        self.offered.append(frame)


class Stage:
    """A presenter whose ticks are called one by one."""

    def __init__(self, mailbox: SharedMailbox) -> None:
        self.mailbox = mailbox
        self.clock = ManualClock(100.0)
        self.recorder = Recorder()
        self.statistics = PathStatistics()
        self.presenter = Presenter(
            mailbox,
            [cast(SinkRunner, self.recorder)],
            10.0,
            2.0,
            self.statistics,
            self.clock,
            lambda: "camera unplugged",
        )
        self.metronome = Metronome(10.0, 100.0)

    def publish(self, value: int, request_id: int = 1) -> None:
        target = self.mailbox.begin()
        target[:] = value
        frame = Frame(target, value, self.clock.now() - 0.01)
        self.mailbox.publish(StyledFrame(frame, self.clock.now(), request_id, (0, 0, 0, 0)))

    def tick(self, seconds: float = 0.1) -> Frame:
        self.clock.advance(seconds)
        self.presenter.tick(self.clock.now(), self.metronome)
        return self.recorder.offered[-1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    mailbox = SharedMailbox.create(SIZE)
    yield Stage(mailbox)
    mailbox.close()


def test_standby_before_the_first_frame_then_the_newest(stage: Stage) -> None:
    stage.tick()
    assert stage.presenter.picture == "standby"
    stage.publish(7)
    stage.publish(8)
    assert stage.tick().sequence == 8
    assert stage.presenter.picture == "styled"


def test_last_frame_is_held_for_two_seconds_then_standby_until_a_fresh_one(stage: Stage) -> None:
    stage.publish(200)
    shown = stage.tick()
    assert (shown.pixels == 200).all()
    # The very same picture, by which a sink knows that it has it already.
    assert stage.tick().pixels is shown.pixels
    assert stage.presenter.picture == "styled"
    assert stage.tick(0.5).pixels is shown.pixels
    assert stage.presenter.picture == "held"
    assert stage.tick(1.3).pixels is shown.pixels
    standby = stage.tick(0.2)
    assert standby.pixels is not shown.pixels
    assert standby.sequence == STANDBY_SEQUENCE
    assert stage.presenter.picture == "standby"
    stage.publish(201)
    assert (stage.tick().pixels == 201).all()


def test_first_frame_of_each_preset_is_noted_and_few_are_kept(stage: Stage) -> None:
    for request_id in range(100):
        stage.publish(request_id, request_id)
        stage.tick()
    assert len(stage.presenter.first_shown_at) == 64
    assert stage.presenter.first_shown_at[99] == stage.clock.now()


def test_newest_is_the_newest_styled_frame(stage: Stage) -> None:
    assert stage.presenter.newest is None
    stage.publish(33)
    stage.tick()
    newest = stage.presenter.newest
    assert newest is not None
    assert (newest.pixels == 33).all()
    assert stage.presenter.newest_sequence == 33


def test_frame_that_comes_between_two_looks_is_counted_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(
        stage.statistics.stages, "add", lambda styled: counted.append(styled.frame.sequence)
    )
    stage.publish(1)
    stage.tick()
    earlier = stage.mailbox.published + 0.5
    stage.publish(2)
    with monkeypatch.context() as patch:
        # The mailbox was asked how many there are just before the second came.
        patch.setattr(SharedMailbox, "published", property(lambda self: earlier))
        assert stage.tick().sequence == 2
    stage.tick()
    assert counted == [1, 2]
