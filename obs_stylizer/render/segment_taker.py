"""From the pipeline into segment files: where one ends, the next begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from obs_stylizer.render.encoders import EncoderPlan
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pipeline import Boundary, Styled
from obs_stylizer.render.segment_file import SegmentNote, SegmentWriter
from obs_stylizer.render.work_folder import WorkFolder


class SegmentTaker:
    """Takes pictures off the pipeline into segment files.

    Args:
        folder: where to.
        plan: how to encode.
        keep: is given every whole segment's note, and what is remembered after it.
    """

    def __init__(
        self, folder: Path, plan: EncoderPlan, keep: Callable[[SegmentNote, Memory], None]
    ) -> None:
        self._folder = folder
        self._plan = plan
        self._keep = keep
        self._writer: SegmentWriter | None = None
        self._number: int | None = None
        self.done = 0

    def __call__(self, item: Styled | Boundary) -> None:
        """See :func:`render_stretch`."""
        if isinstance(item, Styled):
            assert self._writer is not None
            frame = item.frame
            original = frame.decoded if item.untouched else None
            self._writer.write(item.pixels, frame.stamp, frame.ticks, original, item.alpha)
            self.done += 1
            return
        digest = item.memory.digest()
        if self._writer is not None:
            self._finish(digest, item.memory)
        if item.segment is None:
            return
        # Where the file lacks frames a whole segment may be without any.
        while self._number is not None and self._number + 1 < item.segment:
            self._open(self._number + 1, digest)
            self._finish(digest, item.memory)
        self._open(item.segment, digest)

    def leave(self) -> None:
        """Take an unfinished segment back."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()

    def _open(self, number: int, digest: str) -> None:
        self._number = number
        self._writer = SegmentWriter(self._folder, number, self._plan, digest)

    def _finish(self, digest: str, memory: Memory) -> None:
        assert self._writer is not None
        note = self._writer.finish(digest)
        self._writer = None
        self._keep(note, memory)


class KeepSegment:
    """Collects whole segments, and keeps what is remembered after the newest."""

    def __init__(self, folder: WorkFolder, notes: list[SegmentNote]) -> None:
        self._folder = folder
        self.notes = notes

    def __call__(self, note: SegmentNote, memory: Memory) -> None:
        """Keep one more."""
        self._folder.keep_memory(note.number + 1, memory)
        self.notes.append(note.without_packets())
        self._folder.drop_memory(note.number)
