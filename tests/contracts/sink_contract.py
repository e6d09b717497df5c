"""What every sink keeps to, whatever its frames go to.

A class and not a parametrized module, since the virtual camera is tested in a process of its
own, under a library that pretends its device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SinkError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.sinks.base import Sink, SinkFormat

SIZE = FrameSize(64, 48)
FORM = SinkFormat(SIZE, 20.0)


def frame(number: int, size: FrameSize = SIZE) -> Frame:
    return Frame(np.full(size.shape, number * 10 % 256, np.uint8), number, number / 20)


class SinkContract(ABC):
    """Tests that a kind of sink inherits."""

    @abstractmethod
    def make(self, folder: Path, clock: ManualClock) -> Sink:
        """Make a sink that is not open; called anew for the same folder, it is the same one."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(7.0)

    @pytest.fixture
    def sink(self, tmp_path: Path, clock: ManualClock) -> Sink:
        return self.make(tmp_path, clock)

    def test_opening_tells_where_it_can_be_seen(self, sink: Sink) -> None:
        with sink:
            assert sink.open(FORM)

    def test_it_takes_frames_and_repeated_ones(self, sink: Sink, clock: ManualClock) -> None:
        with sink:
            sink.open(FORM)
            for number in range(5):
                sink.send(frame(number), repeated=False)
                clock.advance(0.05)
                sink.send(frame(number), repeated=True)
                clock.advance(0.05)

    def test_the_first_frame_may_be_a_repeated_one(self, sink: Sink) -> None:
        with sink:
            sink.open(FORM)
            sink.send(frame(0), repeated=True)

    def test_the_pixels_stay_as_they_are(self, sink: Sink) -> None:
        pixels: Pixels = np.random.default_rng(1).integers(0, 255, SIZE.shape, np.uint8)
        kept = pixels.copy()
        pixels.flags.writeable = False
        with sink:
            sink.open(FORM)
            sink.send(Frame(pixels, 0, 0.0), repeated=False)
        assert np.array_equal(pixels, kept)

    def test_closing_may_happen_at_any_time(self, sink: Sink) -> None:
        sink.close()
        sink.open(FORM)
        sink.close()
        sink.close()

    def test_it_can_be_opened_again(self, tmp_path: Path, clock: ManualClock, sink: Sink) -> None:
        with sink:
            sink.open(FORM)
            sink.send(frame(0), repeated=False)
            sink.close()
            self.make_room(tmp_path)
            sink.open(FORM)
            sink.send(frame(1), repeated=False)

    def test_what_it_held_is_free_after_closing(
        self, tmp_path: Path, clock: ManualClock, sink: Sink
    ) -> None:
        with sink:
            sink.open(FORM)
        self.make_room(tmp_path)
        with self.make(tmp_path, clock) as other:
            other.open(FORM)

    def make_room(self, folder: Path) -> None:  # noqa: B027 - most need nothing
        """Do what a user has to do before the same sink is opened once more."""


class ClosedSinkContract(SinkContract):
    """For those that hold something which a closed sink no longer has."""

    def test_a_closed_sink_takes_nothing(self, sink: Sink) -> None:
        with pytest.raises(SinkError, match="not open"):
            sink.send(frame(0), repeated=False)
        sink.open(FORM)
        sink.close()
        with pytest.raises(SinkError, match="not open"):
            sink.send(frame(0), repeated=False)


class SizedSinkContract(ClosedSinkContract):
    """For those that have one size while they are open."""

    def test_a_frame_of_another_size_is_refused(self, sink: Sink) -> None:
        with sink:
            sink.open(FORM)
            with pytest.raises(SinkError, match="32x24"):
                sink.send(frame(0, FrameSize(32, 24)), repeated=False)

    def test_an_odd_size_is_refused(self, sink: Sink) -> None:
        with pytest.raises(SinkError, match="33x24") as caught:
            sink.open(SinkFormat(FrameSize(33, 24), 20))
        assert caught.value.remedy
