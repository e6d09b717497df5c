"""Renderings that are stopped, gone on with, and taken apart: the result is always the same."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from obs_stylizer.errors import UsageError
from obs_stylizer.motion.coherence import Coherence
from obs_stylizer.motion.flow import MotionEstimator
from obs_stylizer.render import file_render
from obs_stylizer.render.clip import Clip
from obs_stylizer.render.cue_presets import CuePresets, Style
from obs_stylizer.render.director import (
    SEGMENT_FRAMES,
    Director,
    warm_up_begin,
    warm_up_frames,
)
from obs_stylizer.render.encoders import Codec
from obs_stylizer.render.file_render import Output, RenderStoppedError, render_file
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pipeline import (
    Boundary,
    Stretch,
    Styled,
    render_stretch,
)
from obs_stylizer.render.thread_group import ThreadGroup
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.video_file import VideoFileSource
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.stylizer import Stylizer
from tests.render.clips import Picture, Recipe, decoded, moving_pictures, write_clip
from tests.render.conftest import MakeStyle
from tests.render.rendering import Stopper, render

FRAMES = 2 * SEGMENT_FRAMES + 60
CUES = ("0:05=blue", f"{SEGMENT_FRAMES / 25 - 0.1:.2f}=calm@0.8", "0:15=bypass", "0:16=invert")


@pytest.fixture(autouse=True)
def often_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quick machine could be through between two reports, with none left to stop at."""
    monkeypatch.setattr(file_render, "_REPORT_SECONDS", 0.01)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "in.mp4"
    return write_clip(path, Recipe(moving_pictures(FRAMES), sound=True))


def pictures(
    clip_path: Path, style: Style, stretch: Stretch | None = None
) -> tuple[list[Picture], list[Memory]]:
    """What the director makes of a stretch, before it is encoded."""
    with Clip(clip_path) as clip:
        cue_presets = CuePresets(style, clip.info.size)
        shown: list[Picture] = []
        memories: list[Memory] = []

        def take(item: Styled | Boundary) -> None:
            if isinstance(item, Styled):
                shown.append(item.pixels)
            else:
                memories.append(item.memory)

        group = ThreadGroup()
        director = Director(style.cues, cue_presets.load, clip.info.size)
        render_stretch(group, clip, director, stretch or Stretch(), take)
        while not group.wait(5):
            pass
        cue_presets.close()
        return shown, memories


def test_pictures_are_those_of_the_live_path(long_clip: Path, make_style: MakeStyle) -> None:
    style = make_style("calm", "0:02=invert@0.5", "0:03=blue")
    offline, _ = pictures(long_clip, style, Stretch(end=120))
    with VideoFileSource(long_clip, SourceOptions(paced=False), once=True) as source:
        size = source.open().frame_size
        cue_presets = CuePresets(style, size)
        stylizer = Stylizer(size)
        live, shown = [], -1
        for _ in range(120):
            frame = source.read(1)
            assert frame is not None
            assert frame.timestamp is not None
            cue = max(n for n, c in enumerate(style.cues) if c.seconds <= frame.timestamp)
            if cue != shown:
                shown = cue
                loaded = cue_presets.load(cue)
                stylizer.switch_to(loaded, loaded.preset.crossfade_ms)
            target = np.empty(size.shape, np.uint8)
            stylizer.process(frame.pixels, frame.timestamp, target)
            live.append(target)
    assert len(offline) == 120
    for one, other in zip(offline, live, strict=True):
        assert np.array_equal(one, other)


def test_a_stretch_goes_on_exactly_where_the_one_before_ended(
    long_clip: Path, make_style: MakeStyle
) -> None:
    style = make_style("calm", *CUES)
    whole, memories = pictures(long_clip, style)
    assert len(whole) == FRAMES
    # Segment 1 begins in the middle of a crossfade.
    assert memories[1].fade is not None
    for number in (1, 2):
        kept = Memory.from_bytes(memories[number].to_bytes())
        assert kept.digest() == memories[number].digest()
        first = number * SEGMENT_FRAMES
        part, ends = pictures(long_clip, style, Stretch(first=first, memory=kept))
        for one, other in zip(whole[first:], part, strict=True):
            assert np.array_equal(one, other)
        assert ends[-1].digest() == memories[-1].digest()


def test_warming_up_brings_the_past_back(long_clip: Path, make_style: MakeStyle) -> None:
    style = make_style("calm", "0:05=blue", f"{SEGMENT_FRAMES / 25 - 0.1:.2f}=calm@0.8")
    whole, memories = pictures(long_clip, style, Stretch(end=SEGMENT_FRAMES + 20))
    ahead = SEGMENT_FRAMES - warm_up_frames(style.coherences)
    begin = warm_up_begin(ahead / 25, style.cues, style.crossfades, 0.04)
    part, mine = pictures(
        long_clip,
        style,
        Stretch(first=SEGMENT_FRAMES, end=SEGMENT_FRAMES + 20, begin=int(begin * 25)),
    )
    assert mine[0].digest() == memories[1].digest()
    for one, other in zip(whole[SEGMENT_FRAMES:], part, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("first_interlaced", [0, 100, 235, SEGMENT_FRAMES - 1, SEGMENT_FRAMES])
def test_interlaced_frames_are_the_same_from_wherever_decoding_begins(
    tmp_path: Path, make_style: MakeStyle, first_interlaced: int
) -> None:
    frames = moving_pictures(SEGMENT_FRAMES + 20)
    fields = {"crf": "8", "flags": "+ildct+ilme", "x264-params": "tff=1"}
    woven = write_clip(tmp_path / "woven.mp4", Recipe(frames[first_interlaced:], options=fields))
    source = woven
    if first_interlaced:
        plain = Recipe(frames[:first_interlaced], options={"crf": "8"})
        source = joined(tmp_path / "in.ts", write_clip(tmp_path / "plain.mp4", plain), woven)
    style = make_style("calm")
    whole, memories = pictures(source, style)
    assert len(whole) == SEGMENT_FRAMES + 20
    part, _ = pictures(source, style, Stretch(first=SEGMENT_FRAMES, memory=memories[1]))
    assert len(part) == 20
    for one, other in zip(whole[SEGMENT_FRAMES:], part, strict=True):
        assert np.array_equal(one, other)


def joined(target: Path, *sources: Path) -> Path:
    """One clip after the other, not encoded again; a broadcast keeps the headers of both."""
    with av.open(str(target), "w") as output:
        stream = None
        shift = 0
        for source in sources:
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                filter_ = BitStreamFilterContext("h264_mp4toannexb", video)
                if stream is None:
                    stream = output.add_stream_from_template(video, opaque=True)
                ends = 0
                for packet in container.demux(video):
                    for ready in filter_.filter(packet if packet.size else None):
                        ends = max(ends, (ready.pts or 0) + (ready.duration or 512))
                        ready.pts, ready.dts = ready.pts + shift, ready.dts + shift
                        ready.stream, ready.time_base = stream, video.time_base
                        output.mux(ready)
                shift += ends
    return target


def test_too_short_a_warm_up_is_noticed(long_clip: Path, make_style: MakeStyle) -> None:
    style = make_style("calm")
    _, memories = pictures(long_clip, style, Stretch(end=SEGMENT_FRAMES + 1))
    stretch = Stretch(first=SEGMENT_FRAMES, end=SEGMENT_FRAMES + 1, begin=SEGMENT_FRAMES - 1)
    _, mine = pictures(long_clip, style, stretch)
    assert mine[0].digest() != memories[1].digest()


def test_the_stylizer_remembers_nothing_that_is_not_kept() -> None:
    # New state here must be taken into obs_stylizer.render.memory, or resuming goes wrong.
    kept = {"_loaded", "_fade", "_last_moment"}
    own = {field.name for field in dataclasses.fields(Stylizer)}
    stateless = {"motion", "size", "bypass", "stages", "clock", "_scratch", "_second"}
    # What is asked for, and what comes of each frame anew.
    stateless |= {"keeps_alpha", "shows_mask", "alpha"}
    assert own - stateless == kept
    # The relief ends where a segment does, which is where a memory is taken.
    assert vars(Coherence(0.5)).keys() - {"share", "_carrier", "_relief"} == {"_last"}
    searches = {"_search", "_size", "_grid"}
    assert vars(MotionEstimator()).keys() - searches == {"_colour", "_grey"}
    from obs_stylizer.frames import FrameSize
    from obs_stylizer.presets import Preset

    loaded = LoadedPreset(Preset(title="Plain"), None, FrameSize(16, 16))
    fixed = {"preset", "generator", "frame_seconds", "_size", "_fit", "_before", "_after"}
    # The weights by name only tell of the state.
    fixed |= {"_weights"}
    kept = {"_motion", "_coherence", "reprojector", "state", "sides", "second"}
    assert vars(loaded).keys() - fixed == kept


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        (Codec.H264, ".mp4"),
        (Codec.H264, ".mkv"),
        (Codec.H265, ".mp4"),
        (Codec.AV1, ".mkv"),
        (Codec.FFV1, ".mkv"),
    ],
)
def test_resumed_file_is_the_same_file(
    tmp_path: Path, long_clip: Path, make_style: MakeStyle, codec: Codec, suffix: str
) -> None:
    style = make_style("calm", *CUES)
    whole = tmp_path / f"whole{suffix}"
    render(long_clip, whole, style, codec=codec)
    resumed = tmp_path / f"resumed{suffix}"
    rendered = []
    for stop_at in (SEGMENT_FRAMES + 10, 2 * SEGMENT_FRAMES - 20):
        stopper = Stopper(stop_at)
        with Clip(long_clip) as clip, pytest.raises(RenderStoppedError, match="--resume"):
            render_file(
                clip, resumed, style, Output(codec=codec, resume=True), stopper, stopper.event
            )
        assert not resumed.exists()
    result = render(long_clip, resumed, style, codec=codec, resume=True)
    rendered.append(result.rendered)
    assert result.rendered < FRAMES - SEGMENT_FRAMES + 1
    assert result.frames == FRAMES
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [resumed.name, whole.name]


def test_frames_and_sound_are_whole_across_segments(
    tmp_path: Path, long_clip: Path, make_style: MakeStyle
) -> None:
    target = tmp_path / "out.mp4"
    render(long_clip, target, make_style("invert"), quality=95)
    before, times = decoded(long_clip)
    after, shown = decoded(target)
    assert shown == times
    for one, other in zip(before, after, strict=True):
        assert np.abs(255 - one.astype(int) - other).mean() < 4


def test_resuming_with_other_options_is_refused(
    tmp_path: Path, long_clip: Path, make_style: MakeStyle
) -> None:
    target = tmp_path / "out.mp4"
    stopper = Stopper(10)
    with Clip(long_clip) as clip, pytest.raises(RenderStoppedError):
        render_file(clip, target, make_style("invert"), Output(), stopper, stopper.event)
    with pytest.raises(UsageError, match=r"cannot be resumed, cues differs"):
        render(long_clip, target, make_style("calm"), resume=True)
    with pytest.raises(UsageError, match=r"cannot be resumed, encoder_options differs"):
        render(long_clip, target, make_style("invert"), resume=True, quality=20)


def test_damaged_segments_are_rendered_again(
    tmp_path: Path, long_clip: Path, make_style: MakeStyle
) -> None:
    whole = tmp_path / "whole.mp4"
    render(long_clip, whole, make_style("calm"))
    target = tmp_path / "out.mp4"
    stopper = Stopper(2 * SEGMENT_FRAMES + 5)
    with Clip(long_clip) as clip, pytest.raises(RenderStoppedError):
        render_file(clip, target, make_style("calm"), Output(), stopper, stopper.event)
    packets = tmp_path / ".out.mp4.render" / "segment-00001.packets"
    packets.write_bytes(packets.read_bytes()[:-10])
    result = render(long_clip, target, make_style("calm"), resume=True)
    # The memory behind the segment before it is gone, so that everything is done again.
    assert result.frames == FRAMES
    assert target.read_bytes() == whole.read_bytes()


def test_two_renderings_never_share_a_target(
    tmp_path: Path, long_clip: Path, make_style: MakeStyle
) -> None:
    from obs_stylizer.errors import BusyError

    target = tmp_path / "out.mp4"
    begun, go_on = threading.Event(), threading.Event()

    def hold(progress: object) -> None:
        begun.set()
        go_on.wait(30)

    def first() -> None:
        with Clip(long_clip) as clip:
            render_file(clip, target, make_style("plain"), Output(), hold, threading.Event())

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert begun.wait(30)
        with pytest.raises(BusyError, match="is held by"):
            render(long_clip, target, make_style("plain"))
    finally:
        go_on.set()
        thread.join()
    assert target.exists()
