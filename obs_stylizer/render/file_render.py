"""One clip into one file, on this machine: segment after segment, then all of them joined."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

import av

from obs_stylizer.errors import SinkError, StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.locks import ResourceLock
from obs_stylizer.render.clip import Footage
from obs_stylizer.render.colour import has_alpha
from obs_stylizer.render.cue_presets import CuePresets, RunsOn, Style
from obs_stylizer.render.director import SEGMENT_FRAMES, Director
from obs_stylizer.render.encoders import (
    CONTAINERS,
    DEFAULT_QUALITY,
    Codec,
    EncoderPlan,
    encoder_for,
    plan_encoder,
)
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.muxing import mux
from obs_stylizer.render.other_streams import OtherStream, streams_to_copy
from obs_stylizer.render.pipeline import (
    Stretch,
    render_stretch,
    segment_of,
)
from obs_stylizer.render.progress import Pace, Report
from obs_stylizer.render.segment_file import SegmentNote
from obs_stylizer.render.segment_taker import KeepSegment, SegmentTaker
from obs_stylizer.render.thread_group import ThreadGroup
from obs_stylizer.render.work_folder import WorkFolder

log = logging.getLogger(__name__)

_REPORT_SECONDS: Final = 0.2
_LEAVE_SECONDS: Final = 0.4
_MAX_ENCODER_THREADS: Final = 8


class RenderStoppedError(StylizerError):
    """Somebody stopped the rendering; what was finished of it is kept."""


@dataclass(frozen=True, slots=True)
class Output:
    """What is to come out.

    Attributes:
        codec: of the video.
        encoder: ``software``, ``hardware`` or a name.
        quality: 1 to 100.
        size: of the pictures; None for the clip's own.
        dropped: kinds of streams that are not copied.
        resume: go on with what an earlier rendering left.
        overwrite: replace a file that is there.
        encoder_threads: 0 for as many as the machine has cores, up to 8.
    """

    codec: Codec = Codec.H264
    encoder: str = "software"
    quality: int = DEFAULT_QUALITY
    size: FrameSize | None = None
    dropped: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False
    encoder_threads: int = 0


@dataclass(slots=True)
class Rendering:
    """Everything that is decided before the first frame.

    Attributes:
        clip: what is rendered.
        style: the presets and what runs them.
        cue_presets: its presets, loaded.
        plan: how it is encoded.
        others: streams that are copied.
        folder: where it is kept until it is whole.
        facts: all that the result depends on.
        finished: segments that an earlier rendering left.
    """

    clip: Footage
    style: Style
    cue_presets: CuePresets
    size: FrameSize
    plan: EncoderPlan
    others: list[OtherStream]
    folder: WorkFolder
    facts: Mapping[str, object]
    finished: list[SegmentNote] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """What a rendering came to: frames in the file, those rendered just now, and seconds.

    ``path`` is None for a stream.
    """

    path: Path | None
    frames: int
    rendered: int
    seconds: float


def render_file(
    clip: Footage,
    target: Path,
    style: Style,
    output: Output,
    report: Report,
    stop: threading.Event,
) -> Result:
    """Render ``clip`` into ``target``, which appears when it is whole and not before.

    Args:
        clip: the input, freshly opened.
        target: the file to make.
        style: the presets and what runs them.
        output: codec and the like.
        report: is told how far it is, from this thread.
        stop: set from anywhere to end early.

    Raises:
        RenderStoppedError: ``stop`` was set; ``output.resume`` goes on from there.
        StylizerError: something is wrong with the clip, the style or the target.
    """
    began = time.perf_counter()
    lock = ResourceLock.take(f"rendering {target.absolute()}", remedy="wait for it, or stop it")
    try:
        rendering = prepare(clip, target, style, output)
        try:
            done = sum(note.frames for note in rendering.finished)
            notes = _render_segments(rendering, report, stop)
            frames = sum(note.frames for note in notes)
            finish(rendering, notes, report, stop)
        finally:
            rendering.cue_presets.close()
    finally:
        lock.release()
    return Result(target, frames, frames - done, time.perf_counter() - began)


def prepare(clip: Footage, target: Path, style: Style, output: Output) -> Rendering:
    """Decide everything, load everything, and find what an earlier rendering left.

    Raises:
        StylizerError: something is wrong with the style or the target.
    """
    check_target(target, overwrite=output.overwrite)
    style = style.with_threads()
    folder = WorkFolder(target)
    size = output.size or clip.info.size
    before = folder.facts() if output.resume else None
    plan = _plan(clip, target, output, size, transparent=style.is_transparent)
    others = streams_to_copy(
        clip, target.suffix.lower(), plan, output.dropped, CONTAINERS[output.codec]
    )
    cue_presets = CuePresets(style, size, _runs_on(before))
    try:
        facts = _facts(clip, style, plan, size, cue_presets.runs_on)
        finished: list[SegmentNote] = []
        if before is None:
            folder.begin(facts)
        else:
            folder.check_same(facts)
            folder.clear_partial()
            finished = folder.finished()
    except BaseException:
        cue_presets.close()
        raise
    for name, text in cue_presets.described.items():
        log.info("preset %s: %s", name, text)
    return Rendering(clip, style, cue_presets, size, plan, others, folder, facts, finished)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that cannot or should not be written.

    Raises:
        SinkError: no such folder, or a file is there already.
    """
    try:
        if target.is_dir():
            raise SinkError(f"{target} is a folder", "name a file in it")
        if not target.absolute().parent.is_dir():
            raise SinkError(f"there is no folder {target.parent}", "make it first")
        if target.exists() and not overwrite:
            raise SinkError(f"{target} exists already", "choose another name, or use --overwrite")
    except OSError as error:
        raise SinkError(
            f"{target} cannot be a file: {error.strerror}", "give -o another name"
        ) from error


def _plan(
    clip: Footage, target: Path, output: Output, size: FrameSize, *, transparent: bool
) -> EncoderPlan:
    info = clip.info
    threads = output.encoder_threads or min(_MAX_ENCODER_THREADS, os.cpu_count() or 1)
    return plan_encoder(
        output.codec,
        encoder_for(output.codec, output.encoder),
        output.quality,
        size=size,
        source_format=info.pixel_format,
        colour=info.colour,
        rate=info.rate,
        time_base=info.time_base,
        aspect=info.aspect if output.size is None else None,
        threads=threads,
        container=target.suffix.lower(),
        transparent=transparent,
    )


def _runs_on(facts: Mapping[str, object] | None) -> RunsOn | None:
    runs_on = None if facts is None else facts.get("runs_on")
    if not isinstance(runs_on, dict):
        return None
    return {name: (str(pair[0]), str(pair[1])) for name, pair in runs_on.items()}


def _facts(
    clip: Footage,
    style: Style,
    plan: EncoderPlan,
    size: FrameSize,
    runs_on: RunsOn,
) -> dict[str, object]:
    """Everything that the pictures depend on; what is copied may change before it is."""
    return {
        "clip": clip.name,
        "clip_stamp": clip.stamp(),
        **style.facts(),
        "runs_on": {name: list(pair) for name, pair in runs_on.items()},
        "size": str(size),
        "encoder": plan.encoder,
        "encoder_options": dict(plan.options),
        "encoder_threads": plan.threads,
        "pixel_format": plan.pixel_format,
        "segment_frames": SEGMENT_FRAMES,
        "versions": {"av": av.__version__, "obs-stylizer": metadata.version("obs-stylizer")},
    }


def _render_segments(
    rendering: Rendering, report: Report, stop: threading.Event
) -> list[SegmentNote]:
    """Render what is not finished yet; return the notes of all segments."""
    clip, folder = rendering.clip, rendering.folder
    notes = list(rendering.finished)
    memory: Memory | None = None
    while notes and (memory := folder.memory(len(notes))) is None:
        # Its memory was not kept: it is rendered again.
        notes.pop()
    frames = clip.frame_count()
    first = len(notes) * SEGMENT_FRAMES
    if notes:
        log.info("going on after frame %d", first)
    if frames is not None and clip.index() is not None and segment_of(frames - 1) < len(notes):
        return notes
    keep = KeepSegment(folder, notes)
    taker = SegmentTaker(folder.path, rendering.plan, keep)
    director = Director(
        rendering.style.cues,
        rendering.cue_presets.load,
        rendering.size,
        keeps_alpha=has_alpha(rendering.plan.pixel_format),
    )
    group = ThreadGroup()
    pace = Pace(frames)
    render_stretch(group, clip, director, Stretch(first=first, memory=memory), taker, taker.leave)
    try:
        while not group.wait(_REPORT_SECONDS):
            report(pace.at(time.perf_counter(), first + taker.done))
            if stop.is_set():
                raise stopped(folder)
    except BaseException:
        group.stop()
        # Long enough to clean up, too short for anybody to wait for a slow generator.
        with contextlib.suppress(StylizerError):
            group.wait(_LEAVE_SECONDS)
        raise
    report(pace.at(time.perf_counter(), first + taker.done))
    return keep.notes


def finish(
    rendering: Rendering, notes: list[SegmentNote], report: Report, stop: threading.Event
) -> None:
    """Join all segments and give the file its name.

    Raises:
        RenderStoppedError: ``stop`` was set.
        SinkError: the file cannot be written.
    """
    folder, frames = rendering.folder, sum(note.frames for note in notes)
    pace = Pace(frames)
    group = ThreadGroup()

    def work() -> None:
        mux(
            rendering.clip,
            folder.path,
            notes,
            rendering.plan,
            rendering.others,
            folder.muxed_path(),
            folder.target.name,
            group.check,
        )

    group.start("muxing", work)
    try:
        while not group.wait(_REPORT_SECONDS):
            report(pace.at(time.perf_counter(), frames, "muxing"))
            if stop.is_set():
                raise stopped(folder)
        if stop.is_set():
            raise stopped(folder)
    except BaseException:
        group.stop()
        raise
    folder.publish()


def stopped(folder: WorkFolder) -> RenderStoppedError:
    """Return what to raise when somebody stops a rendering kept in ``folder``."""
    return RenderStoppedError(
        f"stopped; what is finished of {folder.target.name} is kept in {folder.path}",
        "go on with --resume",
    )
