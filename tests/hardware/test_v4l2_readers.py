"""Readers of a real v4l2loopback device, /dev/video1: of any version, and with its event or not.

Run by hand, as the other tests here.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.clock import SystemClock
from obs_stylizer.sinks.v4l2_readers import ReaderWatch

DEVICE = "/dev/video1"
WIDTH, HEIGHT = 160, 120
PICTURE = bytes(WIDTH * HEIGHT * 3 // 2)

# REQBUFS of one mapped buffer, then STREAMON, as every program with a picture does.
READER = f"""
import fcntl, os, struct, sys
device = os.open({DEVICE!r}, os.O_RDWR)
fcntl.ioctl(device, 0xC0145608, bytearray(struct.pack("=IIII4x", 2, 1, 1, 0)), True)
fcntl.ioctl(device, 0x40045612, bytearray(struct.pack("=I", 1)), True)
print("streams", flush=True)
sys.stdin.read()
"""

pytestmark = pytest.mark.hardware


@pytest.fixture
def device() -> Iterator[int]:
    """The device with a writer that has sent a picture."""
    import fcntl

    if not Path(DEVICE).exists():
        pytest.skip(f"there is no {DEVICE}")
    descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK)
    form = bytearray(208)
    struct.pack_into("=I", form, 0, 2)
    sizes = (WIDTH, HEIGHT, 0x32315559, 1, WIDTH, len(PICTURE))
    struct.pack_into("=IIIIII", form, 8, *sizes)
    fcntl.ioctl(descriptor, 0xC0D05605, form, True)
    os.write(descriptor, PICTURE)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("killed", [False, True])
def test_a_reader_comes_and_goes(device: int, killed: bool) -> None:
    watch = ReaderWatch(DEVICE, device, SystemClock())

    def until(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            os.write(device, PICTURE)
            time.sleep(0.05)

    assert not watch.watched
    with subprocess.Popen(
        [sys.executable, "-S", "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"streams\n"
        until(lambda: watch.watched)
        if killed:
            reader.kill()
        else:
            reader.communicate()
    until(lambda: not watch.watched)
    watch.close()
