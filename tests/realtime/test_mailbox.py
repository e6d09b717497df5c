"""The newest frame and nothing else, whole, also across processes and deaths."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from obs_stylizer.errors import WorkerError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.realtime.mailbox import FrameSlot, SharedMailbox, StyledFrame

SIZE = FrameSize(64, 32)
STAGES = (0.001, 0.002, 0.003, 0.004)


@pytest.fixture
def mailbox() -> Iterator[SharedMailbox]:
    box = SharedMailbox.create(SIZE)
    yield box
    box.close()


def publish(box: SharedMailbox, sequence: int, value: int | None = None) -> None:
    target = box.begin()
    target[:] = sequence % 256 if value is None else value
    frame = Frame(target, sequence, 100.0 + sequence)
    box.publish(StyledFrame(frame, 200.0 + sequence, 7, STAGES))


def test_empty_mailbox_has_no_frame(mailbox: SharedMailbox) -> None:
    assert mailbox.read() is None
    assert mailbox.published == 0


def test_reader_gets_the_newest_frame_with_all_it_carries(mailbox: SharedMailbox) -> None:
    for sequence in range(5):
        publish(mailbox, sequence)
    styled = mailbox.read()
    assert styled is not None
    assert styled.frame.sequence == 4
    assert styled.frame.captured_at == 104.0
    assert styled.published_at == 204.0
    assert styled.request_id == 7
    assert styled.stages == STAGES
    assert (styled.frame.pixels == 4).all()
    assert mailbox.published == 5


def test_transparency_goes_with_its_picture_alone(mailbox: SharedMailbox) -> None:
    for sequence, level in ((0, None), (1, 70), (2, 90), (3, None)):
        target = mailbox.begin()
        target[:] = sequence
        alpha = None if level is None else np.full(SIZE.shape[:2], level, np.uint8)
        mailbox.publish(StyledFrame(Frame(target, sequence, 0.0), 0.0, 7, STAGES), alpha)
        styled = mailbox.read()
        assert styled is not None
        assert (styled.frame.pixels == sequence).all()
        if level is None:
            assert styled.frame.alpha is None
        else:
            assert styled.frame.alpha is not None
            assert (styled.frame.alpha == level).all()


def test_picture_read_is_not_changed_by_later_frames(mailbox: SharedMailbox) -> None:
    publish(mailbox, 1)
    styled = mailbox.read()
    for sequence in range(2, 10):
        publish(mailbox, sequence)
    assert styled is not None
    assert (styled.frame.pixels == 1).all()


def test_writer_never_takes_the_newest_slot(mailbox: SharedMailbox) -> None:
    publish(mailbox, 1)
    for _ in range(8):
        mailbox.begin()[:] = 99
        styled = mailbox.read()
        assert styled is not None
        assert (styled.frame.pixels == 1).all()


def test_counters_and_beat(mailbox: SharedMailbox) -> None:
    mailbox.count(captured=3, overwritten=1)
    mailbox.count(captured=2)
    mailbox.beat(12.5)
    publish(mailbox, 0)
    counters = mailbox.counters()
    assert (counters.captured, counters.overwritten, counters.styled) == (5, 1, 1)
    assert counters.beat == 12.5


def test_memory_is_gone_after_close() -> None:
    box = SharedMailbox.create(SIZE)
    name = box.name
    box.close()
    box.close()
    with pytest.raises(WorkerError, match="is gone"):
        SharedMailbox.attach(name, SIZE)


def _write_for_a_while(name: str, seconds: float) -> None:
    box = SharedMailbox.attach(name, SIZE)
    end = time.perf_counter() + seconds
    sequence = 0
    while time.perf_counter() < end:
        publish(box, sequence)
        sequence += 1
    box.close()


def test_no_torn_picture_between_processes(mailbox: SharedMailbox) -> None:
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_for_a_while, args=(mailbox.name, 1.0))
    writer.start()
    seen = 0
    last = -1
    while writer.is_alive():
        styled = mailbox.read()
        if styled is None:
            continue
        value = styled.frame.pixels[0, 0, 0]
        assert (styled.frame.pixels == value).all()
        assert value == styled.frame.sequence % 256
        assert styled.frame.sequence >= last
        last = styled.frame.sequence
        seen += 1
    writer.join()
    assert writer.exitcode == 0
    assert seen > 50


def _die_in_the_middle(name: str) -> None:
    box = SharedMailbox.attach(name, SIZE)
    publish(box, 41)
    box.begin()[: SIZE.height // 2] = 99
    multiprocessing.current_process().kill()


def test_writer_killed_in_the_middle_leaves_the_last_picture(mailbox: SharedMailbox) -> None:
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_die_in_the_middle, args=(mailbox.name,))
    writer.start()
    writer.join()
    styled = mailbox.read()
    assert styled is not None
    assert styled.frame.sequence == 41
    assert (styled.frame.pixels == 41).all()
    publish(mailbox, 42)
    successor = mailbox.read()
    assert successor is not None
    assert successor.frame.sequence == 42


def frame_of(value: int, size: FrameSize = SIZE) -> Frame:
    return Frame(np.full(size.shape, value, np.uint8), value, float(value))


def test_slot_keeps_only_the_newest_and_counts_the_rest() -> None:
    slot = FrameSlot()
    for value in range(4):
        slot.put(frame_of(value))
    taken = slot.take(0)
    assert taken is not None
    assert taken.sequence == 3
    assert slot.overwritten == 3
    assert slot.take(0) is None


def test_taken_frame_survives_later_puts_of_any_size() -> None:
    slot = FrameSlot()
    slot.put(frame_of(1))
    taken = slot.take(0)
    assert taken is not None
    for value in range(2, 6):
        slot.put(frame_of(value, FrameSize(16 * value, 16)))
    assert (taken.pixels == 1).all()
    newest = slot.take(0)
    assert newest is not None
    assert newest.size == FrameSize(80, 16)


def test_source_may_reuse_its_buffer() -> None:
    slot = FrameSlot()
    frame = frame_of(5)
    slot.put(frame)
    frame.pixels[:] = 0
    taken = slot.take(0)
    assert taken is not None
    assert (taken.pixels == 5).all()


def test_take_wakes_when_a_frame_comes() -> None:
    slot = FrameSlot()
    got: list[Frame | None] = []
    reader = threading.Thread(target=lambda: got.append(slot.take(10)))
    reader.start()
    slot.put(frame_of(9))
    reader.join(5)
    assert got
    assert got[0] is not None
    assert got[0].sequence == 9


def test_whoever_waits_for_a_frame_can_be_woken() -> None:
    slot = FrameSlot()
    slot.wake()
    assert slot.take(30.0) is None
    waker = threading.Timer(0.05, slot.wake)
    waker.start()
    assert slot.take(30.0) is None
    waker.join()
    slot.wake()
    slot.put(frame_of(7))
    taken = slot.take(30.0)
    assert taken is not None
    assert taken.pixels[0, 0, 0] == 7
    assert slot.take(0.0) is None
