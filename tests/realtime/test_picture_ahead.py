"""The generator works on the next frame while the processor finishes the picture of one."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.realtime.live_stylizer import LiveStylizer
from obs_stylizer.realtime.mailbox import FrameSlot
from obs_stylizer.realtime.next_frame import NextFrame
from obs_stylizer.styling.loaded_preset import LoadedPreset
from tests.fakes import motion_scenes as scenes
from tests.realtime.test_live_stylizer import SIZE, HandGenerator, loaded

CLIP = scenes.panning(6, 4)


class Line:
    """A source, its slot and a stylizer that looks ahead in it."""

    def __init__(self, preset: LoadedPreset, *, motion: bool) -> None:
        self.slot = FrameSlot()
        self.frames = NextFrame(self.slot)
        self.stylizer = LiveStylizer(SIZE, motion=motion, carries=False, frames=self.frames)
        self.stylizer.switch_to(preset, 0)

    def put(self, number: int) -> None:
        self.slot.put(Frame(CLIP[number], number, number / 30))

    def shown(self) -> tuple[int, Pixels]:
        frame = self.frames.take(20)
        assert frame is not None
        target = np.empty(SIZE.shape, np.uint8)
        self.stylizer.process(frame.pixels, frame.captured_at, target)
        return frame.sequence, target


@pytest.fixture(params=[True, False], ids=["motion", "no motion"])
def line(request: pytest.FixtureRequest) -> Line:
    return Line(loaded(HandGenerator()), motion=request.param)


def generator_of(line: Line) -> HandGenerator:
    preset = line.stylizer.loaded
    assert preset is not None
    assert isinstance(preset.generator, HandGenerator)
    return preset.generator


def test_the_next_picture_begins_before_one_is_finished(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.put(0)
    line.shown()
    begun = threading.Event()
    generator, finish = generator_of(line), LoadedPreset.finish

    def paint(frame: Pixels) -> Pixels:
        if np.array_equal(frame, CLIP[2]):
            begun.set()
        return 255 - frame

    def finish_late(*args: object) -> None:
        # Whoever made one picture after the other would wait here for ever.
        assert begun.wait(20)
        finish(*args)  # type: ignore[arg-type]

    generator.paint = paint
    line.put(1)
    frame = line.frames.take(20)
    assert frame is not None
    line.put(2)
    monkeypatch.setattr(LoadedPreset, "finish", finish_late)
    target = np.empty(SIZE.shape, np.uint8)
    line.stylizer.process(frame.pixels, frame.captured_at, target)
    assert np.array_equal(target, 255 - CLIP[1])
    number, picture = line.shown()
    assert number == 2
    assert np.array_equal(picture, 255 - CLIP[2])
    assert line.stylizer.counts.generated == generator.runs == 3


def begin_ahead(line: Line) -> None:
    """Show a frame while the next one is there already."""
    line.put(0)
    line.shown()
    line.put(1)
    frame = line.frames.take(20)
    assert frame is not None
    line.put(2)
    line.stylizer.process(frame.pixels, frame.captured_at, np.empty(SIZE.shape, np.uint8))


def test_a_strength_set_meanwhile_holds_for_the_next_frame(line: Line) -> None:
    begin_ahead(line)
    preset = line.stylizer.loaded
    assert preset is not None
    preset.with_strength(0.5)
    _, picture = line.shown()
    assert np.abs(picture.astype(int) - 127).max() <= 2


def test_another_preset_is_shown_at_once(line: Line) -> None:
    begin_ahead(line)
    line.stylizer.switch_to(loaded(HandGenerator(lambda frame: frame // 2)), 0)
    _, picture = line.shown()
    assert np.array_equal(picture, CLIP[2] // 2)


def test_a_picture_that_nobody_wants_any_more_is_in_nobodys_way(line: Line) -> None:
    begin_ahead(line)
    line.stylizer.bypass = True
    _, picture = line.shown()
    assert np.array_equal(picture, CLIP[2])
    line.stylizer.bypass = False
    line.put(3)
    _, picture = line.shown()
    assert np.array_equal(picture, 255 - CLIP[3])
    line.stylizer.reset()
    line.put(4)
    _, picture = line.shown()
    assert np.array_equal(picture, 255 - CLIP[4])


def test_where_pictures_are_carried_no_frame_waits_for_its_own() -> None:
    generator = HandGenerator()
    line = Line(loaded(generator), motion=True)
    begin_ahead(line)
    line.stylizer._pace.is_too_slow = line.stylizer._carries = True
    line.stylizer.period = 1e-4
    # The one that was begun is still waited for.
    line.put(3)
    line.shown()
    generator.gate.clear()
    for number in (4, 5):
        line.shown()
        line.put(number)
    line.shown()
    assert line.stylizer.counts.reprojected
    generator.gate.set()


def test_the_newest_frame_is_the_next_one(line: Line) -> None:
    """Of the frames that come while one is made, the last is taken, and the others are counted."""
    line.put(0)
    line.shown()
    generator = generator_of(line)
    generator.gate.clear()
    line.put(1)
    results: list[tuple[int, Pixels]] = []
    worker = threading.Thread(target=lambda: results.append(line.shown()))
    worker.start()
    for number in (2, 3, 4):
        line.put(number)
        end = time.monotonic() + 20
        while line.frames.replaced + line.slot.overwritten < number - 2:
            assert time.monotonic() < end
            time.sleep(0.001)
    generator.gate.set()
    worker.join(20)
    assert results[0][0] == 1
    assert np.array_equal(results[0][1], 255 - CLIP[1])
    number, picture = line.shown()
    assert number == 4
    assert np.array_equal(picture, 255 - CLIP[4])
    assert line.frames.replaced + line.slot.overwritten == 2


def test_a_frame_in_use_stays_as_it_is_while_others_are_looked_at() -> None:
    slot = FrameSlot()
    frames = NextFrame(slot)
    small = FrameSize(4, 2)
    slot.put(Frame(np.full(small.shape, 1, np.uint8), 1, 0.0))
    current = frames.take(1)
    for number in range(2, 6):
        slot.put(Frame(np.full(small.shape, number, np.uint8), number, 0.0))
        ahead = frames.look(1)
        assert current is not None
        assert current.pixels.max() == 1
        assert ahead is not None
        assert ahead.pixels.min() == number
    assert frames.take(1) is ahead
    assert frames.replaced == 3
    assert ahead.pixels.min() == 5


def test_no_frame_is_left_out_where_all_are_wanted() -> None:
    slot = FrameSlot()
    frames = NextFrame(slot, replaces=False)
    for number in (1, 2, 3):
        slot.put(Frame(np.full((2, 4, 3), number, np.uint8), number, 0.0))
        if number == 1:
            frames.take(1)
        elif number == 2:
            frames.look(1)
    assert frames.look(0) is None
    taken = [frames.take(1), frames.take(1)]
    assert [frame.sequence for frame in taken if frame is not None] == [2, 3]
