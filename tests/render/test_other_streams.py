"""Sound, subtitles, covers and attachments on their way into another file."""

from __future__ import annotations

import logging
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from obs_stylizer.cli.render import _dropped
from obs_stylizer.errors import SinkError
from obs_stylizer.render import muxing
from obs_stylizer.render.copied_packets import CopiedPackets
from obs_stylizer.render.encoders import CONTAINERS, Codec
from obs_stylizer.render.requests import checked_container
from obs_stylizer.sources.continuity import Continuity
from tests.render.clips import Recipe, decoded, moving_pictures, packets_of, write_clip
from tests.render.conftest import MakeStyle
from tests.render.rendering import render


def kinds(path: Path) -> list[str]:
    with av.open(str(path), metadata_errors="ignore") as container:
        return [stream.type for stream in container.streams]


def start_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.start_time or 0) / av.time_base


def add_track(path: Path, target: Path, count: int = 2) -> Path:
    """Copy a clip with its sound ``count`` times in it, in other languages."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        video, audio = source.streams.video[0], source.streams.audio[0]
        copies: Any = {video.index: [output.add_stream_from_template(video, opaque=True)]}
        copies[audio.index] = []
        for number in range(count):
            copy = output.add_stream_from_template(audio, opaque=True)
            copy.metadata["language"] = ("eng", "fra")[number]
            copies[audio.index].append(copy)
        for packet in source.demux(video, audio):
            if not packet.size:
                continue
            data = bytes(packet)
            for copy in copies[packet.stream_index]:
                again: Any = av.Packet(data)
                again.pts, again.dts = packet.pts, packet.dts
                again.time_base, again.is_keyframe = packet.time_base, packet.is_keyframe
                again.stream = copy
                output.mux(again)
    return target


def make_unknown(path: Path, track: int) -> None:
    """Give one of the sound tracks of an MP4 a code that no program knows."""
    data = bytearray(path.read_bytes())
    at = data.rfind(b"moov")
    for _ in range(track + 1):
        at = data.index(b"mp4a", at + 4)
    data[at : at + 4] = b"apac"
    at = data.index(b"esds", at)
    data[at : at + 4] = b"dapa"
    path.write_bytes(bytes(data))


# What nobody can read --------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "unknown"), [(".mp4", 0), (".mov", 1), (".mkv", 1)])
def test_an_unreadable_track_beside_a_good_one(
    tmp_path: Path,
    make_style: MakeStyle,
    caplog: pytest.LogCaptureFixture,
    suffix: str,
    unknown: int,
) -> None:
    clip = write_clip(tmp_path / "one.mp4", Recipe(moving_pictures(30), sound=True))
    source = add_track(clip, tmp_path / "two.mp4")
    make_unknown(source, unknown)
    with caplog.at_level(logging.WARNING):
        render(source, tmp_path / f"out{suffix}", make_style("plain"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"audio stream {unknown + 1}" in line
    assert kinds(tmp_path / f"out{suffix}") == ["video", "audio"]
    kept = packets_of(tmp_path / f"out{suffix}", "audio")
    assert kept.digests == packets_of(clip, "audio").digests
    assert kept.language == ("fra" if unknown == 0 else "eng")


def test_only_an_unreadable_track(tmp_path: Path, make_style: MakeStyle) -> None:
    clip = write_clip(tmp_path / "one.mp4", Recipe(moving_pictures(30), sound=True))
    make_unknown(clip, 0)
    render(clip, tmp_path / "out.mp4", make_style("plain"))
    assert kinds(tmp_path / "out.mp4") == ["video"]


# Sound without a layout ------------------------------------------------------------------------


def write_pcm(path: Path, channels: int, codec: str = "pcm_s16le") -> Path:
    """A clip whose sound says how many channels it has, and not which."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream(codec, rate=48000)
        audio.codec_context.layout = f"{channels}c"
        for number, picture in enumerate(moving_pictures(25)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number in range(25):
            values = np.full((1, 1920 * channels), number * 100, np.int16)
            sound = av.AudioFrame.from_ndarray(values, format="s16", layout=f"{channels}c")
            sound.sample_rate, sound.pts = 48000, number * 1920
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "target", "channels"),
    [
        (".avi", ".mp4", 2),
        (".mkv", ".mp4", 1),
        (".mkv", ".mp4", 6),
        (".avi", ".mov", 6),
        (".avi", ".mkv", 2),
    ],
)
def test_sound_without_a_layout_is_copied(
    tmp_path: Path, make_style: MakeStyle, suffix: str, target: str, channels: int
) -> None:
    source = write_pcm(tmp_path / f"in{suffix}", channels)
    render(source, tmp_path / f"out{target}", make_style("plain"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"in{suffix}", f"out{target}"])

    def sound(path: Path) -> bytes:
        with av.open(str(path)) as container:
            assert container.streams.audio[0].codec_context.channels == channels
            return b"".join(bytes(p) for p in container.demux(audio=0) if p.size)

    assert sound(tmp_path / f"out{target}") == sound(source)


@pytest.mark.parametrize("codec", ["eac3", "ac3", "alac", "flac", "mp3"])
def test_sound_that_muxers_understand_only_by_and_by(
    tmp_path: Path, make_style: MakeStyle, codec: str
) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream(codec, rate=48000)
        resampler = av.AudioResampler(
            format=audio.codec_context.format, layout="stereo", rate=48000, frame_size=1536
        )
        for number, picture in enumerate(moving_pictures(25)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 96000), np.int16), "s16", "stereo")
        silence.sample_rate, silence.pts = 48000, 0
        for part in (*resampler.resample(silence), *resampler.resample(None)):
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    render(source, tmp_path / "out.mp4", make_style("plain"))
    assert packets_of(tmp_path / "out.mp4", "audio").digests == packets_of(source, "audio").digests


# Remedies are followed to the letter -----------------------------------------------------------


def write_refused(path: Path, what: str) -> Path:
    if what == "subtitle":
        return write_clip(path, Recipe(moving_pictures(25), sound=True, subtitles=True))
    return write_pcm(path, 2, what)


@pytest.mark.parametrize(
    ("what", "target", "codec"),
    [
        ("subtitle", ".mp4", Codec.H264),
        ("subtitle", ".mov", Codec.H265),
        ("subtitle", ".webm", Codec.AV1),
        ("wmav2", ".mp4", Codec.H264),
        ("pcm_s16le", ".webm", Codec.AV1),
    ],
)
def test_each_way_out_that_a_refusal_names_works(
    tmp_path: Path, make_style: MakeStyle, what: str, target: str, codec: Codec
) -> None:
    source = write_refused(tmp_path / "in.mkv", what) if what != "wmav2" else _wma(tmp_path)
    with pytest.raises(SinkError, match=f"{re.escape(target)} cannot hold") as caught:
        render(source, tmp_path / f"out{target}", make_style("plain"), codec=codec)
    # Found out before the work, with nothing left behind.
    assert [path.name for path in tmp_path.iterdir()] == [source.name]
    remedy = caught.value.remedy
    suffixes = re.findall(r"ends in (\.\w+)", remedy)
    # No container that we write holds this one.
    assert len(suffixes) == (0 if what == "wmav2" else 1)
    for suffix, container in zip(suffixes, re.findall(r"--container (\w+)", remedy), strict=True):
        assert checked_container(container, codec) == suffix
        assert suffix in CONTAINERS[codec]
        render(source, tmp_path / f"other{suffix}", make_style("plain"), codec=codec)
        assert kinds(tmp_path / f"other{suffix}") == kinds(source)
    drops = tuple(re.findall(r"--drop (\w+)", remedy))
    assert _dropped(list(drops)) == drops
    while True:
        try:
            render(
                source, tmp_path / f"out{target}", make_style("plain"), codec=codec, dropped=drops
            )
            break
        except SinkError as error:
            # The next stream that does not fit has a way out of its own.
            more = re.findall(r"--drop (\w+)", error.remedy)
            assert not set(more) & set(drops)
            drops += tuple(more)
    assert kinds(tmp_path / f"out{target}")[0] == "video"


def _wma(folder: Path) -> Path:
    path = folder / "in.wmv"
    with av.open(str(path), "w", format="asf") as container:
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream("wmav2", rate=44100)
        audio.codec_context.bit_rate = 128000
        for number, picture in enumerate(moving_pictures(25)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number in range(20):
            sound = av.AudioFrame.from_ndarray(
                np.zeros((2, 2048), np.float32), format="fltp", layout="stereo"
            )
            sound.sample_rate, sound.pts = 44100, number * 2048
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


def test_what_fails_at_the_end_names_the_stream_and_can_be_gone_on_with(
    tmp_path: Path, make_style: MakeStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(25), sound=True))

    def refuse(*_: object) -> None:
        raise av.error.InvalidDataError(1094995529, "odd")

    with monkeypatch.context() as patch:
        patch.setattr(muxing, "_mux", refuse)
        with pytest.raises(SinkError, match=r"cannot write out\.mp4: .*odd") as caught:
            render(source, tmp_path / "out.mp4", make_style("plain"))
    assert "disk" not in str(caught.value)
    assert "--resume" in caught.value.remedy
    drops = tuple(re.findall(r"--drop (\w+)", caught.value.remedy))
    result = render(source, tmp_path / "out.mp4", make_style("plain"), resume=True, dropped=drops)
    assert result.rendered == 0
    assert kinds(tmp_path / "out.mp4") == ["video"]


# Covers and attachments ------------------------------------------------------------------------


def write_covered(path: Path, cover: bytes) -> Path:
    clip = write_clip(path.with_name("plain.mkv"), Recipe(moving_pictures(10), sound=True))
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        copies: Any = {
            stream.index: output.add_stream_from_template(stream, opaque=True)
            for stream in source.streams
        }
        output.add_attachment("folder.jpg", "image/jpeg", cover)
        output.add_attachment("font.ttf", "application/x-truetype-font", b"\0\1\0\0 letters")
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    clip.unlink()
    return path


def covers(path: Path) -> list[tuple[bytes, dict[str, str]]]:
    found = []
    with av.open(str(path)) as container:
        for stream in container.streams.video:
            if stream.disposition & av.stream.Disposition.attached_pic:
                packet = next(container.demux(stream))
                found.append((bytes(packet), dict(stream.metadata)))
    return found


def test_covers_and_attachments_go_along_byte_for_byte(
    tmp_path: Path, make_style: MakeStyle, caplog: pytest.LogCaptureFixture
) -> None:
    with av.open(str(tmp_path / "cover.jpg"), "w", format="image2") as container:
        stream: Any = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    cover = (tmp_path / "cover.jpg").read_bytes()
    source = write_covered(tmp_path / "in.mkv", cover)
    with caplog.at_level(logging.WARNING):
        render(source, tmp_path / "out.mkv", make_style("plain"))
    assert not caplog.records
    ((data, tags),) = covers(tmp_path / "out.mkv")
    assert data == cover
    assert (tags["filename"], tags["mimetype"]) == ("folder.jpg", "image/jpeg")
    assert kinds(tmp_path / "out.mkv").count("attachment") == 1
    # Into the other container that can hold a cover, and back.
    render(source, tmp_path / "out.mp4", make_style("plain"))
    assert covers(tmp_path / "out.mp4")[0][0] == cover
    render(tmp_path / "out.mp4", tmp_path / "back.mkv", make_style("plain"))
    assert covers(tmp_path / "back.mkv")[0][0] == cover
    caplog.clear()
    render(source, tmp_path / "out.mov", make_style("plain"))
    lines = " ".join(record.getMessage() for record in caplog.records)
    assert "its cover picture is left out, .mov cannot hold it" in lines
    assert ".mp4 and .mkv can" in lines


# Time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("begin", "target"), [(0.2, ".mp4"), (9.4, ".mp4"), (9.4, ".mkv")])
def test_a_clip_that_does_not_begin_at_zero(
    tmp_path: Path, make_style: MakeStyle, begin: float, target: str
) -> None:
    clip = write_clip(tmp_path / "zero.mkv", Recipe(moving_pictures(75), sound=True, chapters=True))
    source = move(clip, tmp_path / "late.mkv", begin)
    assert start_of(source) == pytest.approx(begin, abs=0.05)
    render(source, tmp_path / f"out{target}", make_style("plain", "0:02=invert"))
    assert start_of(tmp_path / f"out{target}") == pytest.approx(0, abs=0.03)
    pictures, times = decoded(tmp_path / f"out{target}")
    assert times[0] == pytest.approx(0, abs=0.03)
    assert times[-1] - times[0] == pytest.approx(74 / 25, abs=0.01)
    before, after = decoded(clip)[1], packets_of(clip, "audio").times
    gap = packets_of(tmp_path / f"out{target}", "audio").times[5] - Fraction(times[5])
    assert float(gap) == pytest.approx(float(after[5]) - before[5], abs=0.003)
    # Cues count from the first frame.
    assert np.abs(pictures[49].astype(int) - pictures[51]).mean() > 5
    assert np.abs(pictures[40].astype(int) - pictures[44]).mean() < 25
    with av.open(str(tmp_path / f"out{target}")) as container:
        chapters = container.chapters()
        assert [float(c["start"] * c["time_base"]) for c in chapters] == pytest.approx([0, 1])


def move(path: Path, target: Path, seconds: float) -> Path:
    """Copy a clip, with everything in it so much later."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        copies: Any = {
            stream.index: output.add_stream_from_template(stream, opaque=True)
            for stream in source.streams
        }
        chapters = source.chapters()
        for chapter in chapters:
            ticks = round(seconds / chapter["time_base"])
            chapter["start"], chapter["end"] = chapter["start"] + ticks, chapter["end"] + ticks
        output.set_chapters(chapters)
        for packet in source.demux():
            if packet.size:
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
    return target


def test_a_recording_put_together_of_two_goes_on(tmp_path: Path, make_style: MakeStyle) -> None:
    parts = [
        write_clip(tmp_path / f"{n}.ts", Recipe(moving_pictures(30, seed=n), sound=True))
        for n in range(2)
    ]
    source = tmp_path / "in.ts"
    # The second begins where the first began, as its clock has it.
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    render(source, tmp_path / "out.mp4", make_style("invert"))
    pictures, times = decoded(tmp_path / "out.mp4")
    assert len(pictures) == 60
    steps = np.diff(times)
    assert steps.min() > 0.03
    assert steps.max() < 0.1
    sound = packets_of(tmp_path / "out.mp4", "audio")
    assert len(sound.digests) == sum(len(packets_of(part, "audio").digests) for part in parts)
    assert float(sound.times[-1]) == pytest.approx(times[-1], abs=0.15)


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv"])
def test_what_an_edit_list_cuts_away_stays_away(
    tmp_path: Path, make_style: MakeStyle, target: str
) -> None:
    clip = write_clip(tmp_path / "whole.mp4", Recipe(moving_pictures(75), sound=True, keyframes=75))
    source = tmp_path / "cut.mp4"
    # As a telephone cuts: all packets stay, and a list says that 1.2 s of them are not shown.
    data = bytearray(clip.read_bytes())
    scale = int.from_bytes(data[data.index(b"mvhd") + 16 :][:4], "big")
    at = -1
    while (at := data.find(b"elst", at + 1)) > 0:
        media = data.rfind(b"trak", 0, at)
        rate = int.from_bytes(data[data.index(b"mdhd", media) + 16 :][:4], "big")
        length = int.from_bytes(data[at + 12 : at + 16], "big") - round(1.2 * scale)
        began = int.from_bytes(data[at + 16 : at + 20], "big") + round(1.2 * rate)
        data[at + 12 : at + 16] = length.to_bytes(4, "big")
        data[at + 16 : at + 20] = began.to_bytes(4, "big")
    source.write_bytes(bytes(data))
    before = decoded(source)[0]
    assert len(before) == 45
    render(source, tmp_path / f"out{target}", make_style("invert"))
    after, times = decoded(tmp_path / f"out{target}")
    assert len(after) == 45
    assert np.abs(255 - before[0].astype(int) - after[0]).mean() < 4
    assert times[0] == pytest.approx(0, abs=0.03)
    assert start_of(tmp_path / f"out{target}") == pytest.approx(0, abs=0.03)
    sound = packets_of(tmp_path / f"out{target}", "audio")
    whole = packets_of(clip, "audio")
    # The same sound beside the same picture.
    place = whole.digests.index(sound.digests[5])
    gap = float(sound.times[5]) - times[0]
    assert gap == pytest.approx(float(whole.times[place]) - 1.2, abs=0.03)
    assert float(sound.times[0]) > times[0] - 0.11


def test_sound_that_goes_back_in_time_does_not_lose_the_rendering(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = write_clip(tmp_path / "in.mkv", Recipe(moving_pictures(10), sound=True))
    with av.open(str(clip)) as container, caplog.at_level(logging.WARNING):
        fitted = CopiedPackets("in.mkv", ".mp4", Fraction(0), Continuity(container))
        stamps = []
        for number in (0, 21, 43, 40, 41, 64, 64, 85):
            packet: Any = av.Packet(b"sound")
            packet.stream, packet.time_base = container.streams.audio[0], Fraction(1, 1000)
            packet.pts = packet.dts = number
            assert fitted.fit(packet, container.streams.audio[0])
            stamps.append((packet.pts, packet.dts))
    assert stamps == [(n, n) for n in (0, 21, 43, 44, 45, 64, 65, 85)]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "go back" in line
