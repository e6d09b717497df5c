"""A filter of OBS as the daemon sees it: its mapped file, and who draws into it."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.layout import (
    HEADER,
    HEADER_BYTES,
    MAGIC,
    NONE,
    SLOTS,
    VERSION,
    file_bytes,
    slot_bytes_for,
)


class FakeFilter:
    """What the script does in OBS, one picture after another."""

    made = 0

    def __init__(
        self,
        folder: Path,
        source: str = "Camera",
        name: str = "style",
        size: tuple[int, int] = (64, 48),
        room: tuple[int, int] = (128, 96),
        version: int = VERSION,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        FakeFilter.made += 1
        self.path = folder / f"filter-{os.getpid()}-{FakeFilter.made}-1.map"
        self.slot_bytes = slot_bytes_for(*room)
        # Two of them, as Python's mapping keeps the one that it is made of.
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(self._file, file_bytes(self.slot_bytes))
        with self.path.open("r+b") as other:
            self._memory = mmap.mmap(other.fileno(), 0)
        self.head: Any = np.frombuffer(self._memory, HEADER, 1)
        self._bytes = np.frombuffer(self._memory, np.uint8)
        self.head["version"] = version
        self.head["header_bytes"], self.head["slots"] = HEADER_BYTES, SLOTS
        self.head["slot_bytes"] = self.slot_bytes
        self.head["source_width"], self.head["source_height"] = size
        self.head["source_name"], self.head["filter_name"] = source.encode(), name.encode()
        self.head["fps"] = 30.0
        for channel in ("to_daemon", "to_obs"):
            self.head[channel]["newest"] = self.head[channel]["reading"] = NONE
        self.head["magic"] = MAGIC
        self.sequence = 0
        self.seen()

    def seen(self) -> None:
        """Be drawn without anything being handed over."""
        self.head["drawn_at"] = time.perf_counter()

    @property
    def wanted(self) -> FrameSize:
        return FrameSize(int(self.head["wanted_width"][0]), int(self.head["wanted_height"][0]))

    def text(self, name: str) -> str:
        return bytes(self.head[name][0]).decode()

    def draw(self, pixels: Pixels) -> int:
        """Hand an RGBA picture over; return its number."""
        self.sequence += 1
        channel = self.head["to_daemon"]
        taken = (int(channel["newest"][0]), int(channel["reading"][0]))
        free = next(i for i in range(SLOTS) if i not in taken)
        slots = channel["slots"]
        slots["begun"][0, free] += 1
        height, width = pixels.shape[:2]
        start = HEADER_BYTES + free * self.slot_bytes
        self._bytes[start : start + pixels.size] = pixels.ravel()
        stamp = time.perf_counter()
        for key, value in (
            ("sequence", self.sequence),
            ("width", width),
            ("height", height),
            ("stride", 4 * width),
            ("stamp", stamp),
        ):
            slots[key][0, free] = value
        slots["finished"][0, free] = slots["begun"][0, free]
        channel["newest"] = free
        channel["published"] += 1
        self.seen()
        return self.sequence

    def shown(self) -> tuple[int, Pixels] | None:
        """Return the newest answer and the number of the picture that it is one to."""
        channel = self.head["to_obs"]
        newest = int(channel["newest"][0])
        if newest >= SLOTS:
            return None
        slot = channel["slots"][0, newest]
        assert slot["begun"] == slot["finished"]
        width, height, stride = (int(slot[key]) for key in ("width", "height", "stride"))
        assert stride == 4 * width
        start = HEADER_BYTES + (SLOTS + newest) * self.slot_bytes
        pixels = self._bytes[start : start + stride * height].reshape(height, width, 4)
        return int(slot["sequence"]), pixels.copy()

    def die(self) -> None:
        """End as OBS does when it is killed: the file stays."""
        os.close(self._file)
        self._file = -1

    def close(self) -> None:
        """End as OBS does otherwise."""
        if self._file >= 0:
            self.head["closed"] = 1
            self.path.unlink(missing_ok=True)
            self.die()


@contextmanager
def drawn_by_obs(one: FakeFilter) -> Iterator[FakeFilter]:
    """Let pictures come, a hundred a second, from another thread."""
    ending = threading.Event()
    width, height = int(one.head["source_width"][0]), int(one.head["source_height"][0])

    def draw() -> None:
        while not ending.wait(0.01):
            one.draw(np.full((height, width, 4), 255, np.uint8))

    thread = threading.Thread(target=draw)
    thread.start()
    yield one
    ending.set()
    thread.join()
    one.close()
