"""Mailboxes that hold the newest frame and nothing else.

:class:`FrameSlot` hands frames from one thread to another; :class:`SharedMailbox` hands styled
frames from the worker process to the presenter through shared memory. Neither ever blocks its
writer, and neither is a queue: a frame that was not taken in time is overwritten and counted.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.realtime.frame_memory import FrameMemory, make_memory, open_memory

SLOTS: Final = 4
STAGES: Final = ("wait", "prepare", "generate", "finish")
"""What a frame goes through in the worker, each timed in seconds: waiting for the worker to be
free, cropping, scaling and adjusting, the generator, and blending, scaling and writing."""

_SLOT_HEADER = np.dtype(
    [
        ("begun", "<u8"),
        ("finished", "<u8"),
        ("sequence", "<u8"),
        ("captured_at", "<f8"),
        ("published_at", "<f8"),
        ("request_id", "<u8"),
        ("stages", "<f8", len(STAGES)),
        ("has_alpha", "<u8"),
    ]
)
_CONTROL = np.dtype(
    [
        ("newest", "<u8"),
        ("reading", "<u8"),
        ("published", "<u8"),
        ("beat", "<f8"),
        ("captured", "<u8"),
        ("overwritten", "<u8"),
        ("styled", "<u8"),
        ("generated", "<u8"),
        ("reprojected", "<u8"),
    ]
)
_NONE: Final = SLOTS


class FrameSlot:
    """Holds the newest frame of a source for another thread of the same process.

    ``put`` copies, so the source may reuse its buffer; the frame that ``take`` returns stays
    untouched until the next ``take``, or longer where that is told to keep it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spare: list[Pixels] = []
        self._newest: Frame | None = None
        self._taken: list[Frame] = []
        self._woken = False
        self.overwritten = 0

    def put(self, frame: Frame) -> None:
        """Make ``frame`` the newest."""
        with self._changed:
            buffer = self._buffer(frame.pixels.shape)
        np.copyto(buffer, frame.pixels)
        own = Frame(buffer, frame.sequence, frame.captured_at, frame.timestamp)
        with self._changed:
            if self._newest is not None:
                self.overwritten += 1
                self._spare.append(self._newest.pixels)
            self._newest = own
            self._changed.notify_all()

    def take(self, timeout: float, keep: Frame | None = None) -> Frame | None:
        """Return the newest frame that was not taken yet.

        Args:
            timeout: seconds to wait for one.
            keep: a frame taken before that must stay untouched until the next call, too.

        Returns:
            None where there is none after ``timeout`` seconds, or when :meth:`wake` was called.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._woken, timeout)
            self._woken = False
            if self._newest is None:
                return None
            frame, self._newest = self._newest, None
            self._spare += [taken.pixels for taken in self._taken if taken is not keep]
            self._taken = [frame, *(taken for taken in self._taken if taken is keep)]
            self._changed.notify_all()
            return frame

    def wake(self) -> None:
        """Let whoever waits in :meth:`take`, or comes next, go on without a frame."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait_until_taken(self, timeout: float) -> None:
        """Return when the newest frame was taken, or after ``timeout`` seconds.

        Only for running free: it lets the reader set the pace.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is None, timeout)

    def _buffer(self, shape: tuple[int, ...]) -> Pixels:
        while self._spare:
            buffer = self._spare.pop()
            if buffer.shape == shape:
                return buffer
        return np.empty(shape, np.uint8)


@dataclass(slots=True)
class StyledFrame:
    """A frame out of the mailbox.

    Attributes:
        frame: the picture; its pixels belong to whoever got it.
        published_at: when the worker laid it into the mailbox, on the shared clock.
        request_id: number of the preset, as given when it was applied.
        stages: seconds in each of :data:`STAGES`.
    """

    frame: Frame
    published_at: float
    request_id: int
    stages: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WorkerCounters:
    """What the worker counts: frames since the mailbox was made, and its last sign of life.

    Of the styled frames, ``reprojected`` show a picture that was carried to them; ``generated``
    pictures a generator made.
    """

    captured: int
    overwritten: int
    styled: int
    beat: float
    generated: int = 0
    reprojected: int = 0


class SharedMailbox:
    """One writer in the worker, one reader in the daemon, :data:`SLOTS` slots, no lock.

    The writer never touches the slot that is newest nor the one the reader announced; the reader
    announces, then looks again, and after copying checks that the slot's numbers still agree, so
    a torn picture is never shown. A writer that is killed in the middle of a frame leaves the
    newest one whole, and its successor goes on in the same memory.
    """

    def __init__(self, size: FrameSize, memory: FrameMemory) -> None:
        self.size = size
        self._memory: FrameMemory | None = memory
        self._name = memory.name
        self._fence = threading.Lock()
        buffer: Any = memory.buf
        self._control: Any = np.ndarray((1,), _CONTROL, buffer)[0:1]
        offset = _aligned(_CONTROL.itemsize)
        self._headers: Any = np.ndarray((SLOTS,), _SLOT_HEADER, buffer, offset)
        offset += _aligned(_SLOT_HEADER.itemsize * SLOTS)
        plane = size.shape[:2]
        stride = _aligned(size.nbytes) + _aligned(size.width * size.height)
        starts = [offset + index * stride for index in range(SLOTS)]
        self._slots: list[Pixels] = [
            np.ndarray(size.shape, np.uint8, buffer, start) for start in starts
        ]
        self._alphas: list[Pixels] = [
            np.ndarray(plane, np.uint8, buffer, start + _aligned(size.nbytes)) for start in starts
        ]
        self._writing = _NONE

    @classmethod
    def create(cls, size: FrameSize) -> SharedMailbox:
        """Make the memory; the creator's :meth:`close` removes it.

        Raises:
            WorkerError: there is not so much memory.
        """
        mailbox = cls(size, make_memory(bytes_needed(size)))
        mailbox._control["newest"] = _NONE
        mailbox._control["reading"] = _NONE
        return mailbox

    @classmethod
    def attach(cls, name: str, size: FrameSize) -> SharedMailbox:
        """Use the memory that another process made.

        Raises:
            WorkerError: there is none of that name.
        """
        return cls(size, open_memory(name))

    @property
    def name(self) -> str:
        """Name under which another process attaches."""
        return self._name

    # The writer's side.

    def begin(self) -> Pixels:
        """Return the slot to write the next picture into: uint8 (height, width, 3)."""
        newest = int(self._control["newest"][0])
        self._order()
        reading = int(self._control["reading"][0])
        self._writing = next(i for i in range(SLOTS) if i not in (newest, reading))
        self._headers["begun"][self._writing] += 1
        self._order()
        return self._slots[self._writing]

    def publish(self, styled: StyledFrame, alpha: Pixels | None = None) -> None:
        """Make the slot of the last :meth:`begin` the newest; its pixels are there already.

        Args:
            styled: what else belongs to them.
            alpha: uint8 (height, width), 255 opaque; None where all of them are.
        """
        header = self._headers[self._writing]
        header["has_alpha"] = alpha is not None
        if alpha is not None:
            np.copyto(self._alphas[self._writing], alpha)
        header["sequence"] = styled.frame.sequence
        header["captured_at"] = styled.frame.captured_at
        header["published_at"] = styled.published_at
        header["request_id"] = styled.request_id
        header["stages"] = styled.stages
        header["finished"] = header["begun"]
        self._order()
        self._control["newest"] = self._writing
        self._control["published"] += 1
        self._control["styled"] += 1

    def count(
        self,
        *,
        captured: int = 0,
        overwritten: int = 0,
        generated: int = 0,
        reprojected: int = 0,
    ) -> None:
        """Add to the worker's counters. Only the worker's styling thread calls it."""
        self._control["captured"] += captured
        self._control["overwritten"] += overwritten
        self._control["generated"] += generated
        self._control["reprojected"] += reprojected

    def beat(self, now: float) -> None:
        """Leave a sign of life."""
        self._control["beat"] = now

    # The reader's side.

    @property
    def published(self) -> int:
        """How many frames were published; changes when there is a new one."""
        return int(self._control["published"][0])

    def read(self, into: Pixels | None = None) -> StyledFrame | None:
        """Copy the newest frame out (into ``into``, if given), or None before the first."""
        for _ in range(8):
            newest = int(self._control["newest"][0])
            if newest >= SLOTS:
                return None
            self._control["reading"] = newest
            self._order()
            if int(self._control["newest"][0]) != newest:
                continue
            header = self._headers[newest].copy()
            self._order()
            pixels = np.empty(self.size.shape, np.uint8) if into is None else into
            np.copyto(pixels, self._slots[newest])
            alpha = self._alphas[newest].copy() if header["has_alpha"] else None
            self._order()
            intact = self._headers["begun"][newest] == header["finished"] == header["begun"]
            self._control["reading"] = _NONE
            if intact:
                number, captured_at = int(header["sequence"]), float(header["captured_at"])
                frame = Frame(pixels, number, captured_at, alpha=alpha)
                stages = tuple(float(seconds) for seconds in header["stages"])
                return StyledFrame(
                    frame, float(header["published_at"]), int(header["request_id"]), stages
                )
        return None

    def counters(self) -> WorkerCounters:
        """Return what the worker counted."""
        control = self._control
        return WorkerCounters(
            int(control["captured"][0]),
            int(control["overwritten"][0]),
            int(control["styled"][0]),
            float(control["beat"][0]),
            int(control["generated"][0]),
            int(control["reprojected"][0]),
        )

    def close(self) -> None:
        """Let go; the creator removes the memory. May be called twice."""
        if self._memory is None:
            return
        # The views hold the memory open, so they go first.
        del self._control, self._headers
        self._slots, self._alphas = [], []
        memory, self._memory = self._memory, None
        memory.close()

    def _order(self) -> None:
        """Keep stores before this line ahead of loads after it, on processors that reorder.

        Taking an uncontended lock is the only full memory barrier that Python has.
        """
        with self._fence:
            pass


def bytes_needed(size: FrameSize) -> int:
    """How much memory a mailbox for pictures of that size takes."""
    headers = _aligned(_CONTROL.itemsize) + _aligned(_SLOT_HEADER.itemsize * SLOTS)
    return headers + (_aligned(size.nbytes) + _aligned(size.width * size.height)) * SLOTS


def _aligned(length: int) -> int:
    """Round up to a whole number of pages, so that slots share no cache line."""
    return -(-length // 4096) * 4096
