"""The daemon's end of one filter's mapped file: takes its newest picture, lays answers down.

As in :class:`~obs_stylizer.realtime.mailbox.SharedMailbox` nobody waits for anybody: each side
writes to the slot that is neither newest nor being read, and a reader sees by the slot's numbers
whether it was overwritten meanwhile. Whatever OBS wrote is checked before it is used.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.layout import (
    BYTES_PER_PIXEL,
    HEADER,
    HEADER_BYTES,
    LEAST_SIDE,
    MAGIC,
    MOST_SIDE,
    MOST_SLOT_BYTES,
    NONE,
    SLOTS,
    VERSION,
    file_bytes,
)
from obs_stylizer.obs_filter.listing import open_file, text_of

_NUMBERS: Final = 2**32
_OLDEST_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class FilterPicture:
    """A picture out of OBS.

    Attributes:
        pixels: uint8 (height, width, 4), RGBA, premultiplied; a copy of its own.
        sequence: OBS's number of its frame, to be given back with the answer.
        age: seconds since OBS drew it.
    """

    pixels: Pixels
    sequence: int
    age: float


class FilterMapping:
    """One filter's file. One thread reads pictures; one, which may be another, answers.

    Raises:
        SourceLostError: the file is gone, or no whole one.
        SourceError: it is of another version; both sides then say so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._memory: mmap.mmap | None = None
        self._fence = threading.Lock()
        self._seen = -1
        self._writing = 0
        try:
            descriptor = open_file(path)
        except OSError as error:
            raise SourceLostError(f"the filter is gone from OBS: {error}") from error
        try:
            length = os.fstat(descriptor).st_size
            if length < HEADER_BYTES:
                raise SourceLostError(f"{path} is no file of a filter in OBS")
            self._memory = mmap.mmap(descriptor, length)
        except (OSError, ValueError) as error:
            raise SourceLostError(f"{path} cannot be mapped: {error}") from error
        finally:
            os.close(descriptor)
        self._header: Any = np.frombuffer(self._memory, HEADER, 1)
        self._bytes: Pixels = np.frombuffer(self._memory, np.uint8)
        try:
            self._slot_bytes = self._check(length)
        except BaseException:
            self.close()
            raise
        self._header["daemon_version"] = VERSION
        self._header["daemon_pid"] = os.getpid()

    def _check(self, length: int) -> int:
        header = self._header[0]
        if bytes(header["magic"]) != MAGIC:
            raise SourceLostError(f"{self.path} is no file of a filter in OBS")
        version = int(header["version"])
        if version != VERSION:
            self._header["daemon_version"] = VERSION
            raise SourceError(
                f"the filter in OBS speaks version {version} of its protocol, this obs-stylizer "
                f"version {VERSION}",
                "update the older one; obs-stylizer obs setup --filter says where the script is",
            )
        slot_bytes = int(header["slot_bytes"])
        if (
            int(header["header_bytes"]) != HEADER_BYTES
            or int(header["slots"]) != SLOTS
            or not 0 < slot_bytes <= MOST_SLOT_BYTES
            or length != file_bytes(slot_bytes)
        ):
            raise SourceLostError(
                f"{self.path} says of itself what cannot be",
                "remove the filter in OBS and add it again",
            )
        return slot_bytes

    @property
    def slot_bytes(self) -> int:
        """Most bytes of a picture, either way."""
        return self._slot_bytes

    @property
    def is_closed(self) -> bool:
        """Whether OBS has let go of it."""
        return bool(self._header["closed"][0])

    @property
    def source_size(self) -> FrameSize | None:
        """Size of the OBS source; None where it is empty."""
        width, height = (int(self._header[name][0]) for name in ("source_width", "source_height"))
        return FrameSize(width, height) if width and height else None

    @property
    def source_name(self) -> str:
        """Name of the OBS source."""
        return text_of(self._header["source_name"][0])

    @property
    def preset(self) -> str:
        """The preset that is asked for in the filter's properties; "" for the one on air."""
        return text_of(self._header["preset"][0])

    @property
    def fps(self) -> float | None:
        """Frames a second of OBS."""
        fps = float(self._header["fps"][0])
        return fps if 0 < fps < 1000 else None

    @property
    def drawn_at(self) -> float:
        """When OBS drew the filter last, in seconds of the shared clock."""
        moment = float(self._header["drawn_at"][0])
        return moment if np.isfinite(moment) else 0.0

    @property
    def has_new(self) -> bool:
        """Whether a picture came since the last :meth:`read`."""
        return int(self._header["to_daemon"]["published"][0]) != self._seen

    def ask_for(self, size: FrameSize) -> None:
        """Say in which size pictures are to come."""
        self._header["wanted_width"], self._header["wanted_height"] = size.width, size.height

    def beat(self) -> None:
        """Leave a sign of life; OBS shows the plain source 0.35 s after the last."""
        self._header["beat"] = (int(self._header["beat"][0]) + 1) % _NUMBERS or 1

    def rest(self) -> None:
        """Take the signs of life back: OBS shows the plain source from its next frame on."""
        self._header["beat"] = 0

    def tell(
        self, *, state: str | None = None, on_air: str | None = None, panel: str | None = None
    ) -> None:
        """Write what the filter's properties show. What does not fit is cut off."""
        for name, text in (("state", state), ("on_air", on_air), ("panel", panel)):
            if text is not None:
                self._write_text(name, text)

    def offer(self, presets: list[str]) -> None:
        """Write which presets the filter's properties offer, as many as there is room for."""
        text = ""
        for name in presets:
            if len((text + name).encode()) > HEADER["presets"].itemsize - 2:
                break
            text += name + "\n"
        self._write_text("presets", text)

    def stay_fresh_for(self, seconds: float) -> None:
        """Say for how long an answer may be shown; 0.45 s of OBS are the least."""
        self._header["fresh_ms"] = 1000 * seconds

    def read(self) -> FilterPicture | None:
        """Return the newest picture, or None if there is none that was not read yet."""
        channel = self._header["to_daemon"]
        for _ in range(4):
            published = int(channel["published"][0])
            newest = int(channel["newest"][0])
            if published == self._seen or newest >= SLOTS:
                return None
            channel["reading"] = newest
            self._order()
            if int(channel["newest"][0]) != newest:
                continue
            slot = channel["slots"][0, newest].copy()
            self._order()
            width, height, stride = (int(slot[name]) for name in ("width", "height", "stride"))
            if not self._fits(width, height, stride):
                self._seen = published
                break
            pixels = self._view(newest, width, height, stride).copy()
            self._order()
            begun = int(channel["slots"]["begun"][0, newest])
            if begun == int(slot["begun"]) == int(slot["finished"]):
                channel["reading"] = NONE
                self._seen = published
                return FilterPicture(pixels, int(slot["sequence"]), _age(float(slot["stamp"])))
        channel["reading"] = NONE
        return None

    def answer_into(self, size: FrameSize) -> Pixels:
        """Return the slot for an answer: uint8 (height, width, 4), RGBA, to be premultiplied.

        Raises:
            ValueError: there is no room for that size.
        """
        stride = size.width * BYTES_PER_PIXEL
        if not self._fits(size.width, size.height, stride):
            raise ValueError(f"an answer of {size} does not fit")
        channel = self._header["to_obs"]
        newest = int(channel["newest"][0])
        self._order()
        reading = int(channel["reading"][0])
        self._writing = next(i for i in range(SLOTS) if i not in (newest, reading))
        slots = channel["slots"]
        slots["begun"][0, self._writing] = (int(slots["begun"][0, self._writing]) + 1) % _NUMBERS
        self._order()
        slots["width"][0, self._writing] = size.width
        slots["height"][0, self._writing] = size.height
        slots["stride"][0, self._writing] = stride
        return self._view(SLOTS + self._writing, size.width, size.height, stride)

    def publish(self, sequence: int) -> None:
        """Let OBS show what was written since :meth:`answer_into`.

        Args:
            sequence: of the picture that it answers.
        """
        channel = self._header["to_obs"]
        slots = channel["slots"]
        slots["sequence"][0, self._writing] = sequence
        self._order()
        slots["finished"][0, self._writing] = slots["begun"][0, self._writing]
        self._order()
        channel["newest"] = self._writing
        channel["published"] = (int(channel["published"][0]) + 1) % _NUMBERS

    def close(self) -> None:
        """Let go of the memory. May be called twice."""
        memory, self._memory = self._memory, None
        if memory is None:
            return
        # The views hold the memory open, so they go first; one that somebody still has goes later.
        del self._header, self._bytes
        with suppress(BufferError):
            memory.close()

    def _fits(self, width: int, height: int, stride: int) -> bool:
        return (
            1 <= width <= MOST_SIDE
            and 1 <= height <= MOST_SIDE
            and stride >= width * BYTES_PER_PIXEL
            and stride % BYTES_PER_PIXEL == 0
            and stride * height <= self._slot_bytes
        )

    def _view(self, slot: int, width: int, height: int, stride: int) -> Pixels:
        start = HEADER_BYTES + slot * self._slot_bytes
        rows = self._bytes[start : start + stride * height].reshape(height, -1, BYTES_PER_PIXEL)
        return rows[:, :width]

    def _write_text(self, name: str, text: str) -> None:
        most = HEADER[name].itemsize - 1
        self._header[name] = text.encode()[:most].decode("utf-8", "ignore").encode()

    def _order(self) -> None:
        """Keep memory accesses in order; twice a lock, as nothing else in Python does."""
        for _ in range(2):
            with self._fence:
                pass


def _age(stamp: float) -> float:
    """Return the age of a picture by its stamp; 0 where that cannot be."""
    age = time.perf_counter() - stamp
    return age if 0 <= age < _OLDEST_SECONDS else 0.0


def fitted(source: FrameSize, canvas: FrameSize, slot_bytes: int) -> FrameSize:
    """Return the size in which to ask for pictures of a source.

    Its shape, at most as large as the canvas and as the source itself, and with room in a slot.

    Args:
        source: size of the OBS source.
        canvas: size at which the daemon works.
        slot_bytes: of the mapped file.
    """
    scale = min(1.0, canvas.width / source.width, canvas.height / source.height)
    room = slot_bytes / BYTES_PER_PIXEL
    while True:
        size = FrameSize(
            max(LEAST_SIDE, min(MOST_SIDE, round(source.width * scale))),
            max(LEAST_SIDE, min(MOST_SIDE, round(source.height * scale))),
        )
        if size.width * size.height <= room or scale < 1e-4:
            return size
        scale *= 0.98
