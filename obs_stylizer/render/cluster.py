"""A clip spread over several machines by Dask: each renders segments, this one joins them.

A segment's first frames depend on those before it, which another machine renders. So each machine
plays a few frames ahead of its segment, and tells by a fingerprint what it then remembered. Where
that is not what the segment before really ended with, the segment is rendered again from there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from obs_stylizer.errors import ProviderError, UsageError, WorkerError
from obs_stylizer.locks import ResourceLock
from obs_stylizer.render.clip import Clip, Footage
from obs_stylizer.render.cue_presets import Style
from obs_stylizer.render.file_render import (
    Output,
    Rendering,
    Result,
    finish,
    prepare,
    render_file,
    stopped,
)
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pipeline import segment_of
from obs_stylizer.render.progress import Pace, Report
from obs_stylizer.render.segment_file import SegmentNote, note_path, packets_path, write_whole
from obs_stylizer.render.segment_job import RenderedSegment, SegmentJob, render_segment
from obs_stylizer.render.work_folder import WorkFolder
from obs_stylizer.render.worklist import RenderOptions

log = logging.getLogger(__name__)

_POLL_SECONDS: Final = 0.2
_CONNECT_SECONDS: Final = 15
# Deaths of workers that one segment may live through, before it is taken for their cause.
_DEATHS: Final = 5


class Machines:
    """A Dask cluster that renders files.

    Args:
        client: a ``distributed.Client``.
        described: for people.
    """

    def __init__(self, client: Any, described: str) -> None:
        self._client = client
        self.described = described

    def over(self, options: RenderOptions) -> RenderOptions:
        """Return ``options`` with files rendered by these machines."""
        return replace(options, render_file=self.render_file)

    def render_file(
        self,
        footage: Footage,
        target: Path,
        style: Style,
        output: Output,
        report: Report,
        stop: threading.Event,
    ) -> Result:
        """Do as :func:`obs_stylizer.render.file_render.render_file`, on many machines."""
        if not isinstance(footage, Clip) or footage.path is None or footage.index() is None:
            log.warning("%s cannot be spread over machines; it is rendered here", footage.name)
            return render_file(footage, target, style, output, report, stop)
        began = time.perf_counter()
        lock = ResourceLock.take(f"rendering {target.absolute()}", remedy="wait for it, or stop it")
        try:
            rendering = prepare(footage, target, style, output)
            try:
                done = sum(note.frames for note in rendering.finished)
                notes = self._render_segments(rendering, footage, report, stop)
                frames = sum(note.frames for note in notes)
                finish(rendering, notes, report, stop)
            finally:
                rendering.cue_presets.close()
        finally:
            lock.release()
        return Result(target, frames, frames - done, time.perf_counter() - began)

    def _render_segments(
        self, rendering: Rendering, clip: Clip, report: Report, stop: threading.Event
    ) -> list[SegmentNote]:
        assert clip.path is not None
        style = rendering.style
        job = SegmentJob(
            clip=clip.path.absolute(),
            stamp=clip.stamp(),
            style=style,
            facts=style.facts(),
            runs_on=rendering.cue_presets.runs_on,
            size=rendering.size,
            plan=rendering.plan,
        )
        frames = clip.frame_count() or 0
        spread = _Spread(self._client, job, rendering.folder, segment_of(frames - 1) + 1)
        spread.begin_with(rendering.finished)
        pace = Pace(frames)
        try:
            while not spread.step():
                report(pace.at(time.perf_counter(), spread.frames))
                if stop.wait(_POLL_SECONDS):
                    raise stopped(rendering.folder)
        finally:
            spread.close()
        report(pace.at(time.perf_counter(), spread.frames))
        return spread.notes


class _Spread:
    """The segments of one clip, on their way to the workers and back."""

    def __init__(self, client: Any, job: SegmentJob, folder: WorkFolder, count: int) -> None:
        self._client = client
        # Sent once, and not with every segment.
        self._job = client.scatter(job, broadcast=True, hash=False)
        self._folder = folder
        self._count = count
        self._futures: dict[int, Any] = {}
        self._arrived: dict[int, RenderedSegment] = {}
        self._end: Memory | None = None
        self.notes: list[SegmentNote] = []

    @property
    def frames(self) -> int:
        """Frames rendered so far."""
        arrived = sum(segment.note.frames for segment in self._arrived.values())
        return arrived + sum(note.frames for note in self.notes)

    def begin_with(self, finished: list[SegmentNote]) -> None:
        """Take over what an earlier rendering left."""
        self.notes = list(finished)
        while self.notes and (end := self._folder.memory(len(self.notes))) is None:
            self.notes.pop()
        self._end = end if self.notes else None

    def step(self) -> bool:
        """Hand out work and take in what has come; return whether all is there."""
        self._collect()
        self._check_arrived()
        self._hand_out()
        return len(self.notes) == self._count

    def close(self) -> None:
        """Take back what was handed out."""
        for future in self._futures.values():
            future.cancel()
        self._futures.clear()

    def _collect(self) -> None:
        for number, future in list(self._futures.items()):
            if not future.done():
                continue
            del self._futures[number]
            try:
                self._arrived[number] = future.result()
            except Exception as error:
                if type(error).__name__ == "KilledWorker":
                    raise WorkerError(
                        f"{_DEATHS} workers died while they rendered segment {number}",
                        "see the workers' logs; memory is the usual reason",
                    ) from error
                raise

    def _check_arrived(self) -> None:
        """Keep what fits to the end of the segment before; send back what does not."""
        while (number := len(self.notes)) in self._arrived:
            segment = self._arrived.pop(number)
            before = self.notes[-1].end_digest if self.notes else segment.note.begin_digest
            if segment.note.begin_digest != before:
                log.info("segment %d is rendered again, from where the one before ended", number)
                assert self._end is not None
                self._submit(number, self._end.to_bytes())
                return
            self._keep(number, segment)

    def _keep(self, number: int, segment: RenderedSegment) -> None:
        folder = self._folder.path
        write_whole(packets_path(folder, number), segment.packets)
        write_whole(note_path(folder, number), segment.note.to_json().encode())
        self._end = Memory.from_bytes(segment.memory)
        self._folder.keep_memory(number + 1, self._end)
        self._folder.drop_memory(number)
        self.notes.append(segment.note.without_packets())

    def _hand_out(self) -> None:
        """Keep every worker busy, but hold no more than a few finished segments here."""
        workers = max(1, len(self._client.scheduler_info()["workers"]))
        horizon = min(self._count, len(self.notes) + 2 * workers + 2)
        for number in range(len(self.notes), horizon):
            if number in self._futures or number in self._arrived:
                continue
            if len(self._futures) >= 2 * workers:
                return
            known = number == len(self.notes) and self._end is not None
            self._submit(number, self._end.to_bytes() if known and self._end else None)

    def _submit(self, number: int, memory: bytes | None) -> None:
        self._futures[number] = self._client.submit(
            render_segment, self._job, number, memory, pure=False, priority=-number
        )


@contextmanager
def open_cluster(address: str) -> Iterator[Machines]:
    """Connect to the scheduler at ``address``, or start ``local:N`` workers here.

    Raises:
        ProviderError: Dask is not installed.
        UsageError: nobody answers there, or N is no number.
    """
    count = _worker_count(address) if address.startswith("local:") else 0
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ProviderError(
            "--cluster needs Dask distributed", 'run: pip install "obs-stylizer[cluster]"'
        ) from error
    for noisy in ("distributed", "tornado"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS})
    if not count:
        with _connected(distributed, address) as client:
            found = len(client.scheduler_info()["workers"])
            yield Machines(client, f"{found} workers at {address}")
        return
    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield Machines(client, f"{count} workers on this machine")


def _connected(distributed: Any, address: str) -> Any:
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {address}", "start one there with: dask scheduler"
        ) from error
    if not client.scheduler_info()["workers"]:
        client.close()
        raise UsageError(
            f"the scheduler at {address} has no workers",
            f"start one on every machine with: dask worker {address} --nthreads 1",
        )
    return client


def _worker_count(address: str) -> int:
    text = address.removeprefix("local:")
    if not text.isdigit() or not 1 <= int(text) <= 64:
        raise UsageError(f"“{address}” is no cluster", "write it as local:2, or HOST:PORT")
    return int(text)
