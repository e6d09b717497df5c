"""Who reads a v4l2loopback device, told by a device that is played here."""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.sinks import v4l2_readers
from obs_stylizer.sinks.v4l2_readers import OpeningWatch, ReaderWatch

SUBSCRIBE, DEQUEUE = 0x4020565A, 0x80885659
USAGE = 0x10E00001

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is Linux's")


class Device:
    """A module that tells of its readers, or one that does not."""

    def __init__(self, *, tells: bool) -> None:
        self.tells = tells
        self.counts: list[int] = [0] if tells else []
        self.holders: list[str] = []
        self.scans = 0

    def ioctl(self, descriptor: int, request: int, argument: bytearray) -> int:
        if request == SUBSCRIBE:
            assert len(argument) == 32
            assert struct.unpack_from("=III", argument) == (USAGE, 0, 1)
            if not self.tells:
                raise OSError(errno.EINVAL, "no such event")
            return 0
        assert request == DEQUEUE
        assert len(argument) == 136
        struct.pack_into("=I4xI", argument, 0, USAGE, self.counts.pop(0))
        return 0

    def scan(self, path: str) -> list[str]:
        self.scans += 1
        return self.holders


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100)


Make = Callable[[Device], ReaderWatch]


@pytest.fixture
def make(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[ReaderWatch] = []
    path = tmp_path / "video9"
    path.touch()

    def maker(device: Device) -> ReaderWatch:
        monkeypatch.setattr(v4l2_readers, "_has_event", lambda _: bool(device.counts))
        made.append(ReaderWatch(str(path), 3, clock, device.ioctl, device.scan))
        return made[-1]

    yield maker
    for one in made:
        one.close()


def test_a_module_that_tells(make: Make, clock: ManualClock) -> None:
    device = Device(tells=True)
    watch = make(device)
    assert not watch.watched
    device.counts.append(2)
    assert watch.watched
    clock.advance(60)
    assert watch.watched
    device.counts += [1, 0]
    assert not watch.watched


def test_a_reader_that_the_module_does_not_count(make: Make, clock: ManualClock) -> None:
    device = Device(tells=True)
    watch = make(device)
    device.counts.append(1)
    assert watch.watched
    device.holders = ["cat (process 7)"]
    device.counts.append(0)
    assert watch.watched


def test_an_older_module_is_looked_at_now_and_then(make: Make, clock: ManualClock) -> None:
    device = Device(tells=False)
    watch = make(device)
    assert not any(watch.watched for _ in range(10))
    assert device.scans == 1
    device.holders = ["zoom (process 7)"]
    clock.advance(4.9)
    assert not watch.watched
    clock.advance(0.2)
    assert watch.watched
    device.holders = []
    clock.advance(5)
    assert not watch.watched


def test_whoever_opens_it_is_noticed_at_once(make: Make, tmp_path: Path) -> None:
    device = Device(tells=False)
    watch = make(device)
    assert not watch.watched
    device.holders = ["zoom (process 7)"]
    (tmp_path / "video9").open("rb").close()
    assert watch.watched


def test_whoever_cannot_be_seen_is_counted(make: Make, tmp_path: Path) -> None:
    device = Device(tells=False)
    watch = make(device)
    assert not watch.watched
    with (tmp_path / "video9").open("rb"):
        assert watch.watched
        with (tmp_path / "video9").open("rb"):
            assert watch.watched
        assert watch.watched
    assert not watch.watched


def test_openings_of_what_is_not_there(tmp_path: Path) -> None:
    watch = OpeningWatch(str(tmp_path / "none"))
    assert not watch.has_news()
    watch.close()
