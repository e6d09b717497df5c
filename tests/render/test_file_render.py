"""Clips rendered into files: frames, times, sound, colours, and what lies beside them."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from obs_stylizer.errors import SinkError, SourceError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.clip import Clip
from obs_stylizer.render.colour import Colour
from obs_stylizer.render.encoders import Codec
from tests.fakes.videos import write_sound
from tests.render.clips import (
    BT709,
    Picture,
    Recipe,
    chart,
    decoded,
    moving_pictures,
    packets_of,
    write_clip,
)
from tests.render.conftest import MakeStyle
from tests.render.rendering import render

FULL_709 = Colour(1, 1, 1, full_range=True)


def largest_error(one: Picture, other: Picture) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_frame_once_with_its_own_time(
    tmp_path: Path, make_style: MakeStyle, suffix: str
) -> None:
    chance = np.random.default_rng(1)
    times = [float(t) for t in np.cumsum(chance.integers(1, 12, 90) * 0.01).round(3)]
    source = write_clip(
        tmp_path / f"in{suffix}",
        Recipe(moving_pictures(90), times=times, time_base=Fraction(1, 1000)),
    )
    result = render(source, tmp_path / f"out{suffix}", make_style("invert"))
    pictures, shown = decoded(tmp_path / f"out{suffix}")
    before, expected = decoded(source)
    assert result.frames == len(pictures) == 90
    # From the beginning of the file on, wherever the source began.
    assert shown == pytest.approx([time - expected[0] for time in expected], abs=1e-9)
    for one, other in zip(before, pictures, strict=True):
        # Which frame it is can be told: every one differs from its neighbours by far more.
        assert np.abs(255 - one.astype(int) - other).mean() < 4
    neighbours = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(before)]
    assert min(neighbours) > 4


def test_sound_subtitles_chapters_and_metadata_stay(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(
        tmp_path / "in.mkv",
        Recipe(
            moving_pictures(50),
            sound=True,
            subtitles=True,
            chapters=True,
            metadata={"title": "A walk", "artist": "Somebody"},
        ),
    )
    target = tmp_path / "out.mkv"
    render(source, target, make_style("invert"))
    for kind in ("audio", "subtitle"):
        assert packets_of(target, kind) == packets_of(source, kind)
    assert packets_of(target, "audio").language == "fra"
    with av.open(str(target)) as after, av.open(str(source)) as before:
        assert after.metadata["title"] == "A walk"
        assert after.metadata["ARTIST"] == before.metadata["ARTIST"] == "Somebody"
        assert [chapter["metadata"] for chapter in after.chapters()] == [
            {"title": "Part 0"},
            {"title": "Part 1"},
        ]
        spans = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in before.chapters()
        ]
        assert [
            (c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in after.chapters()
        ] == spans


def test_sound_goes_from_one_container_to_another(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.mkv", Recipe(moving_pictures(30), sound=True))
    render(source, tmp_path / "out.mp4", make_style("plain"))
    assert packets_of(tmp_path / "out.mp4", "audio").digests == packets_of(source, "audio").digests


def test_what_a_container_cannot_hold_is_told_before_the_work(
    tmp_path: Path, make_style: MakeStyle
) -> None:
    source = write_clip(tmp_path / "in.mkv", Recipe(moving_pictures(10), subtitles=True))
    with pytest.raises(SinkError, match=r"\.mp4 cannot hold subtitle stream 1 .*--drop 1"):
        render(source, tmp_path / "out.mp4", make_style("plain"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]
    render(source, tmp_path / "out.mp4", make_style("plain"), dropped=("1",))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_turned_clip_comes_out_upright(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(12), rotation=90))
    upright, _ = decoded(source)
    assert upright[0].shape == (64, 48, 3)
    render(source, tmp_path / "out.mp4", make_style("plain"), quality=100)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)
    shown, _ = decoded(tmp_path / "out.mp4")
    assert np.abs(shown[5].astype(int) - upright[5]).mean() < 3


@pytest.mark.parametrize(
    ("colour", "pixel_format"),
    [
        (BT709, "yuv420p"),
        (FULL_709, "yuv420p"),
        (Colour(6, 6, 6, full_range=False), "yuv420p"),
        (Colour(5, 5, 6, full_range=True), "yuv420p"),
        (Colour(9, 9, 14, full_range=False), "yuv420p"),
        (BT709, "yuv444p"),
        (BT709, "yuv422p"),
    ],
)
def test_bars_and_ramp_come_through_plain_without_loss(
    tmp_path: Path, make_style: MakeStyle, colour: Colour, pixel_format: str
) -> None:
    source = write_clip(
        tmp_path / "in.mkv",
        Recipe([chart(384, 240)] * 3, codec="ffv1", colour=colour, pixel_format=pixel_format),
    )
    target = tmp_path / "out.mkv"
    render(source, target, make_style("plain"), codec=Codec.FFV1)
    for one, other in zip(decoded(source)[0], decoded(target)[0], strict=True):
        assert largest_error(one, other) == 0
    with Clip(source) as before, Clip(target) as after:
        assert after.info.colour == before.info.colour == colour


@pytest.mark.parametrize("colour", [BT709, FULL_709, Colour(6, 6, 6, full_range=False)])
def test_bars_and_ramp_come_through_plain_in_the_usual_codec(
    tmp_path: Path, make_style: MakeStyle, colour: Colour
) -> None:
    source = write_clip(tmp_path / "in.mkv", Recipe([chart()] * 3, codec="ffv1", colour=colour))
    target = tmp_path / "out.mp4"
    render(source, target, make_style("plain"))
    edge = 1280 // 8
    for one, other in zip(decoded(source)[0], decoded(target)[0], strict=True):
        # Where two colours meet, any lossy codec in 4:2:0 smears them.
        for bar in range(8):
            inner = np.s_[8:350, bar * edge + 10 : (bar + 1) * edge - 10]
            assert largest_error(one[inner], other[inner]) <= 2
        assert largest_error(one[372:], other[372:]) <= 2
    with Clip(target) as after:
        assert after.info.colour == colour


@pytest.mark.parametrize("colour", [BT709, FULL_709, Colour(6, 6, 6, full_range=False)])
def test_styled_pictures_keep_the_colours_they_were_given(
    tmp_path: Path, make_style: MakeStyle, colour: Colour
) -> None:
    recipe = Recipe([chart(64, 48)] * 3, codec="ffv1", colour=colour, pixel_format="yuv444p")
    source = write_clip(tmp_path / "in.mkv", recipe)
    render(source, tmp_path / "out.mkv", make_style("invert"), codec=Codec.FFV1)
    for one, other in zip(decoded(source)[0], decoded(tmp_path / "out.mkv")[0], strict=True):
        assert largest_error(255 - one, other) <= 2


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48)])
def test_odd_sizes(tmp_path: Path, make_style: MakeStyle, width: int, height: int) -> None:
    source = write_clip(
        tmp_path / "in.mkv", Recipe(moving_pictures(8, width, height), codec="ffv1")
    )
    before, _ = decoded(source)
    render(source, tmp_path / "exact.mkv", make_style("plain"), codec=Codec.FFV1)
    exact, _ = decoded(tmp_path / "exact.mkv")
    assert exact[3].shape == (height, width, 3)
    assert largest_error(exact[3], before[3]) == 0
    render(source, tmp_path / "out.mp4", make_style("plain"), quality=100)
    even, _ = decoded(tmp_path / "out.mp4")
    # The last row or column is there twice, since H.264 has no odd ones.
    assert even[3].shape == (48, 64, 3)
    assert np.abs(even[3][:height, :width].astype(int) - before[3]).mean() < 3
    assert np.abs(even[3][-1].astype(int) - even[3][-2]).mean() < 6


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [(Codec.FFV1, "yuv420p10le"), (Codec.H265, "yuv420p10le"), (Codec.H264, "yuv420p")],
)
def test_ten_bits(tmp_path: Path, make_style: MakeStyle, codec: Codec, pixel_format: str) -> None:
    source = write_clip(
        tmp_path / "in.mkv",
        Recipe([chart(512, 96)] * 4, codec="ffv1", pixel_format="yuv420p10le"),
    )
    target = tmp_path / "out.mkv"
    render(source, target, make_style("plain"), codec=codec, quality=100)
    before, after = decoded(source)[0][1], decoded(target)[0][1]
    assert np.abs(before[54:].astype(int) - after[54:]).mean() <= 1
    inner = np.s_[2:40, 12:52]
    assert np.abs(before[inner].astype(int) - after[inner]).mean() <= 1
    if codec is Codec.FFV1:
        assert largest_error(before, after) == 0
    with Clip(target) as clip:
        assert clip.info.pixel_format == pixel_format
    render(source, tmp_path / "styled.mkv", make_style("invert"), codec=codec, quality=100)
    styled = decoded(tmp_path / "styled.mkv")[0][1]
    assert np.abs(255 - before[54:].astype(int) - styled[54:]).mean() < 2


def woven(pictures: list[Picture]) -> list[Picture]:
    """Each picture's even rows with the odd rows of the next: two moments in one frame."""
    frames = []
    for first, second in pairwise(pictures):
        frame = first.copy()
        frame[1::2] = second[1::2]
        frames.append(frame)
    return frames


def combing(picture: Picture) -> float:
    """How much neighbouring rows differ more than those two apart."""
    values = picture.astype(int)
    near = np.abs(values[1:-1] - values[:-2]).mean()
    far = np.abs(values[2:] - values[:-2]).mean()
    return float(near - far)


def test_interlaced_frames_lose_their_combs_and_none_is_added(
    tmp_path: Path, make_style: MakeStyle
) -> None:
    wide = [np.full((96, 128, 3), 30, np.uint8) for _ in range(41)]
    for number, picture in enumerate(wide):
        picture[:, 10 + 2 * number : 40 + 2 * number] = 220
    frames = woven(wide)
    recipe = Recipe(
        frames, options={"crf": "4", "flags": "+ildct+ilme", "x264-params": "tff=1"}, keyframes=10
    )
    source = write_clip(tmp_path / "in.mp4", recipe)
    with av.open(str(source)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    target = tmp_path / "out.mp4"
    render(source, target, make_style("plain"), quality=100)
    after, times = decoded(target)
    assert len(after) == 40
    assert times == decoded(source)[1]
    assert combing(frames[20]) > 3
    assert combing(after[20]) < 0.5
    with av.open(str(target)) as container:
        assert not next(container.decode(video=0)).interlaced_frame


@pytest.mark.parametrize(("width", "height"), [(48, 96), (96, 96), (128, 32)])
def test_a_clip_of_another_shape_than_the_preset_is_not_cut(
    tmp_path: Path, make_style: MakeStyle, width: int, height: int
) -> None:
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[: height // 8], picture[-height // 8 :] = 20, 20
    picture[:, : width // 8], picture[:, -width // 8 :] = 20, 20
    source = write_clip(tmp_path / "in.mkv", Recipe([picture] * 3, codec="ffv1"))
    render(source, tmp_path / "out.mkv", make_style("invert"), codec=Codec.FFV1)
    after = decoded(tmp_path / "out.mkv")[0][1]
    assert np.abs(255 - picture.astype(int) - after).mean() < 6


def test_another_size(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(5)))
    render(source, tmp_path / "out.mp4", make_style("plain"), size=FrameSize(128, 96))
    assert decoded(tmp_path / "out.mp4")[0][0].shape == (96, 128, 3)


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        (Codec.H264, ".mp4", "h264"),
        (Codec.H265, ".mp4", "hevc"),
        (Codec.AV1, ".webm", "av1"),
        (Codec.AV1, ".mp4", "av1"),
        (Codec.FFV1, ".mkv", "ffv1"),
        (Codec.H264, ".mov", "h264"),
    ],
)
def test_codecs_and_containers(
    tmp_path: Path, make_style: MakeStyle, codec: Codec, suffix: str, name: str
) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(30)))
    target = tmp_path / f"out{suffix}"
    render(source, target, make_style("invert"), codec=codec)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert name in (context.name, context.codec.canonical_name)
    pictures, times = decoded(target)
    assert times == pytest.approx(decoded(source)[1], abs=0.0006)
    before = decoded(source)[0]
    assert np.abs(255 - before[10].astype(int) - pictures[10]).mean() < 6


def test_quality_makes_larger_and_better_files(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(20)))
    sizes = []
    for quality in (20, 60, 100):
        target = tmp_path / f"{quality}.mp4"
        render(source, target, make_style("invert"), quality=quality)
        sizes.append(target.stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[2] > 1.5 * sizes[0]


def test_a_clip_with_only_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no picture in tone\.m4a, only sound"):
        Clip(write_sound(tmp_path / "tone.m4a"))


def test_what_is_there_is_not_replaced_unless_asked(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(5)))
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(SinkError, match="exists already"):
        render(source, target, make_style("plain"))
    assert target.read_bytes() == b"precious"
    render(source, target, make_style("plain"), overwrite=True)
    assert len(decoded(target)[0]) == 5


def test_a_hardware_encoder_that_is_not_there_is_told(
    tmp_path: Path, make_style: MakeStyle
) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine may have one")
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(5)))
    with pytest.raises(UsageError, match="h264_nvenc does not work here"):
        render(source, tmp_path / "out.mp4", make_style("plain"), encoder="h264_nvenc")
    with pytest.raises(UsageError, match="no hardware encoder for h264 works here"):
        render(source, tmp_path / "out.mp4", make_style("plain"), encoder="hardware")


def test_a_clip_cut_off_in_the_middle_gives_what_can_be_shown(
    tmp_path: Path, make_style: MakeStyle
) -> None:
    whole = write_clip(tmp_path / "whole.mkv", Recipe(moving_pictures(60)))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    result = render(cut, tmp_path / "out.mkv", make_style("invert"))
    assert 20 <= result.frames < 60
    assert len(decoded(tmp_path / "out.mkv")[0]) == result.frames


def test_raw_video_without_time_stamps(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_clip(tmp_path / "in.h264", Recipe(moving_pictures(40)))
    with Clip(source) as clip:
        assert clip.index() is None
    result = render(source, tmp_path / "out.mp4", make_style("invert"))
    pictures, times = decoded(tmp_path / "out.mp4")
    assert result.frames == len(pictures) == 40
    steps = [b - a for a, b in pairwise(times)]
    assert min(steps) > 0
    assert times[-1] == pytest.approx(39 / 25, abs=0.05)


@pytest.mark.parametrize("name", ["cars.mp4", "person_walking.mp4"])
def test_clips_from_the_world(tmp_path: Path, make_style: MakeStyle, name: str) -> None:
    source = Path(os.environ.get("STYLIZER_DATA", "")) / "clips" / name
    if not source.is_file():
        pytest.skip("STYLIZER_DATA names no folder with clips")
    target = tmp_path / "out.mp4"
    render(source, target, make_style("invert"))
    with Clip(source) as before, Clip(target) as after:
        index, other = before.index(), after.index()
        assert index is not None
        assert other is not None
        expected = [int(s) * before.info.time_base for s in index.stamps]
        assert [int(s) * after.info.time_base for s in other.stamps] == expected
    with av.open(str(source)) as container:
        has_sound = bool(container.streams.audio)
    if has_sound:
        assert packets_of(target, "audio") == packets_of(source, "audio")
