"""What one machine of several does: it renders single segments of a clip, when it is asked to."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from obs_stylizer.errors import SourceError, WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.clip import Clip
from obs_stylizer.render.colour import has_alpha
from obs_stylizer.render.cue_presets import CuePresets, RunsOn, Style
from obs_stylizer.render.director import SEGMENT_FRAMES, Director, warm_up_begin, warm_up_frames
from obs_stylizer.render.encoders import EncoderPlan
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pipeline import Stretch, render_stretch
from obs_stylizer.render.segment_file import SegmentNote, packets_path
from obs_stylizer.render.segment_taker import SegmentTaker
from obs_stylizer.render.thread_group import ThreadGroup


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """What a machine has to know to render any segment of a clip.

    Attributes:
        clip: path of the clip, the same on every machine.
        stamp: what tells whether it is the same file.
        style: the presets and what runs them.
        facts: fingerprint of presets and models.
        runs_on: what each preset must run on.
        size: of the pictures.
        plan: how they are encoded.
    """

    clip: Path
    stamp: object
    style: Style
    facts: object
    runs_on: RunsOn
    size: FrameSize
    plan: EncoderPlan


@dataclass(frozen=True, slots=True)
class RenderedSegment:
    """What comes back: the note, the packets, and what was remembered at the end."""

    note: SegmentNote
    packets: bytes
    memory: bytes


class _Station:
    """What a machine keeps open between segments of the same clip."""

    def __init__(self, job: SegmentJob) -> None:
        self.job = job
        if not job.clip.exists():
            raise SourceError(
                f"a worker does not see {job.clip}",
                "put the clip where every machine has it under the same path",
            )
        self.clip = Clip(job.clip)
        if self.clip.stamp() != job.stamp:
            raise SourceError(
                f"a worker has another file as {job.clip}", "give every machine the same file"
            )
        if job.style.facts() != job.facts:
            raise SourceError(
                "a worker has other models than this machine",
                "install the same version there, and the same models",
            )
        self.cue_presets = CuePresets(job.style, job.size, job.runs_on)

    def close(self) -> None:
        self.clip.close()
        self.cue_presets.close()


_station: _Station | None = None
_station_lock = threading.Lock()


def render_segment(job: SegmentJob, number: int, memory: bytes | None) -> RenderedSegment:
    """Render one segment on this machine; called by Dask's workers.

    Args:
        job: what and how.
        number: of the segment.
        memory: what is remembered ahead of it, where that is known.
    """
    global _station
    # A machine has one generator at work; more at once would only share its cores.
    with _station_lock:
        if _station is None or _station.job != job:
            if _station is not None:
                _station.close()
                _station = None
            _station = _Station(job)
        return _render(_station, number, None if memory is None else Memory.from_bytes(memory))


def _render(station: _Station, number: int, memory: Memory | None) -> RenderedSegment:
    job = station.job
    director = Director(
        job.style.cues,
        station.cue_presets.load,
        job.size,
        keeps_alpha=has_alpha(job.plan.pixel_format),
    )
    kept: list[tuple[SegmentNote, Memory]] = []
    with tempfile.TemporaryDirectory(prefix="obs-stylizer-segment-") as name:
        folder = Path(name)
        taker = SegmentTaker(folder, job.plan, lambda note, end: kept.append((note, end)))
        first = number * SEGMENT_FRAMES
        stretch = Stretch(
            first, first + SEGMENT_FRAMES, _begin(station.clip, job.style, first), memory
        )
        group = ThreadGroup()
        render_stretch(group, station.clip, director, stretch, taker, taker.leave)
        while not group.wait(1.0):
            pass
        if len(kept) != 1:
            raise WorkerError(f"segment {number} came out as {len(kept)}")
        note, end = kept[0]
        return RenderedSegment(note, packets_path(folder, number).read_bytes(), end.to_bytes())


def _begin(clip: Clip, style: Style, first: int) -> int:
    """Return the frame to begin at, so that at frame ``first`` the past is most likely known."""
    index = clip.index()
    assert index is not None
    info = clip.info
    ahead = max(0, first - warm_up_frames(style.coherences))
    tick = float(info.time_base)
    seconds = float(int(index.stamps[ahead]) - info.origin) * tick
    begin = warm_up_begin(seconds, style.cues, style.crossfades, float(1 / info.rate))
    stamp = info.origin + int(begin / tick)
    return min(ahead, max(0, int(np.searchsorted(index.stamps, stamp, side="right")) - 1))
