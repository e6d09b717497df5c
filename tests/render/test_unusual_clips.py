"""Clips as telephones, browsers and editing programs write them, rendered and played live."""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceEndedError, SourceError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.colour import Colour, ToVideo
from obs_stylizer.render.encoders import Codec
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.image import ImageSource
from obs_stylizer.sources.tone_mapping import HLG, PQ, to_sdr
from obs_stylizer.sources.video_decoder import VideoDecoder
from obs_stylizer.sources.video_file import VideoFileSource
from tests.fakes.heic import write_heic
from tests.render.clips import Picture, Recipe, decoded, moving_pictures, write_clip
from tests.render.conftest import MakeStyle
from tests.render.rendering import render

MATRICES = {
    # Where a place x, y is shown: a x + c y, b x + d y; and what that makes of an array.
    "upright": ((1, 0, 0, 1), lambda p: p),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "flipped": ((1, 0, 0, -1), lambda p: p[::-1]),
    "turned by 180": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "turned clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "turned back": ((0, -1, 1, 0), lambda p: np.rot90(p)),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
}


def live(path: Path) -> list[Picture]:
    """Every frame as the live source gives it."""
    source = VideoFileSource(path, SourceOptions(paced=False, clock=ManualClock()), once=True)
    pictures: list[Picture] = []
    with source, suppress(SourceEndedError):
        source.open()
        while True:
            frame = source.read(1)
            assert frame is not None
            pictures.append(frame.pixels.copy())
    return pictures


def pictures_of(path: Path) -> list[Picture]:
    """Every frame as it is stored, without a look at any matrix."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def keyframes(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size and p.is_keyframe]
        return [float(p.pts * p.time_base) for p in packets]


# Orientation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MATRICES)
def test_every_display_matrix_is_followed(tmp_path: Path, make_style: MakeStyle, name: str) -> None:
    (a, b, c, d), shown = MATRICES[name]
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = (250, 250, 250)
    picture[:16, 48:] = (220, 30, 30)
    picture[32:, :16] = (30, 30, 220)
    path = write_clip(tmp_path / "in.mp4", Recipe([picture] * 3))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    numbers = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    data[at : at + 36] = b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)
    path.write_bytes(bytes(data))
    wanted = shown(picture).astype(int)
    (first, *_) = live(path)
    assert first.shape == wanted.shape
    assert np.abs(first - wanted).mean() < 4
    for preset in ("plain", "invert"):
        target = tmp_path / f"{preset}.mp4"
        render(path, target, make_style(preset), quality=95)
        (first, *_) = pictures_of(target)
        assert first.shape == wanted.shape
        styled = wanted if preset == "plain" else 255 - wanted
        assert np.abs(first - styled).mean() < 6
        with av.open(str(target)) as container:
            frame = next(container.decode(video=0))
            assert frame.rotation == 0


# A size that changes ---------------------------------------------------------------------------


def write_turned(path: Path, sizes: list[tuple[int, int]]) -> Path:
    """A transport stream of ten frames in each size, each with a white quarter top left."""
    parts = []
    for number, (width, height) in enumerate(sizes):
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:] = (0, 0, 250)
        picture[: height // 2, : width // 2] = 250
        part = path.with_name(f"part{number}.ts")
        times = [number * 0.4 + count / 25 for count in range(10)]
        write_clip(part, Recipe([picture] * 10, times=times, time_base=Fraction(1, 90000)))
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("preset", ["plain", "invert"])
def test_a_telephone_that_is_turned_while_it_records(
    tmp_path: Path, make_style: MakeStyle, preset: str
) -> None:
    source = write_turned(tmp_path / "in.ts", [(96, 64), (64, 96), (48, 32)])
    render(source, tmp_path / "out.mp4", make_style(preset), quality=95)
    pictures = pictures_of(tmp_path / "out.mp4")
    assert [picture.shape for picture in pictures] == [(64, 96, 3)] * 30
    upright = pictures[15].astype(int)
    # The bars are black whatever the style makes of black.
    assert upright[32, 10].max() < 20
    assert upright[32, 86].max() < 20
    if preset == "invert":
        upright = 255 - upright
        pictures = [255 - picture for picture in pictures]
    assert upright[10, 36].min() > 230
    assert upright[54, 60, 2] > 220
    assert upright[54, 60, 0] < 30
    # One of the same shape fills the picture.
    assert pictures[25][5, 5].min() > 230
    assert pictures[25][60, 90, 2] > 220


# Rates and kinds of frames ---------------------------------------------------------------------


def write_browser_recording(path: Path, seconds: int = 6) -> list[float]:
    """What a browser records: times in milliseconds that wander, and no rate but a thousand."""
    times = [round(count / 30 + (count * 7 % 13) / 1000, 3) for count in range(30 * seconds)]
    pictures = moving_pictures(10)
    with av.open(str(path), "w", format="webm") as container:
        stream: Any = container.add_stream("libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for count, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(pictures[count % 10], format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return times


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.AV1])
def test_a_browsers_recording_can_be_sought_in(
    tmp_path: Path, make_style: MakeStyle, codec: Codec
) -> None:
    source = tmp_path / "in.webm"
    times = write_browser_recording(source)
    with closing(VideoDecoder(source)) as decoder:
        assert decoder.fps == pytest.approx(30, rel=0.02)
    render(source, tmp_path / "out.mp4", make_style("invert"), codec=codec)
    assert decoded(tmp_path / "out.mp4")[1] == pytest.approx(times, abs=0.0015)
    keys = keyframes(tmp_path / "out.mp4")
    assert len(keys) >= 3
    assert max(b - a for a, b in zip(keys, [*keys[1:], times[-1]], strict=True)) < 2.2
    with av.open(str(tmp_path / "out.mp4")) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        assert float(rate) == pytest.approx(30, rel=0.02)


def test_pictures_that_stand_long_are_keyframes(tmp_path: Path, make_style: MakeStyle) -> None:
    pictures = moving_pictures(12)
    times = [count / 25 for count in range(6)] + [3.0 * count for count in range(1, 7)]
    source = write_clip(tmp_path / "in.mkv", Recipe(pictures, times=times))
    for preset in ("plain", "invert"):
        target = tmp_path / f"{preset}.mp4"
        render(source, target, make_style(preset))
        assert set(keyframes(target)) >= {0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0}


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_kinds_of_frames_are_the_encoders_own(
    tmp_path: Path, make_style: MakeStyle, codec: str
) -> None:
    recipe = Recipe(moving_pictures(120), codec=codec, keyframes=1)
    if codec == "mjpeg":
        recipe.pixel_format = "yuvj420p"
    source = write_clip(tmp_path / "in.mkv", recipe)
    assert len(keyframes(source)) == 120
    for preset in ("plain", "invert"):
        render(source, tmp_path / f"{preset}.mp4", make_style(preset))
    assert keyframes(tmp_path / "plain.mp4") == keyframes(tmp_path / "invert.mp4")
    assert len(keyframes(tmp_path / "plain.mp4")) == 3


# HDR -------------------------------------------------------------------------------------------


def write_hdr(path: Path, transfer: int, level: int, matrix: int = 9) -> Path:
    """Ten bits of one grey, tagged as HDR."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none", "preset": "ultrafast", "crf": "4"}
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, 9, transfer
        context.color_range = 1
        for number in range(3):
            frame = av.VideoFrame(64, 64, "yuv420p10le")
            for plane, value in zip(frame.planes, (level, 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
            frame.pts = number
            frame.color_trc, frame.colorspace, frame.color_primaries = transfer, matrix, 9
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265, Codec.AV1, Codec.FFV1])
def test_hdr_becomes_sdr_and_says_so(
    tmp_path: Path,
    make_style: MakeStyle,
    caplog: pytest.LogCaptureFixture,
    transfer: int,
    codec: Codec,
) -> None:
    source = write_hdr(tmp_path / "in.mp4", transfer, 500)
    code = np.full((1, 3), (500 - 64) / 876)
    wanted = int(to_sdr(code, transfer, 1000.0)[0, 0] * 255)
    suffix = "mkv" if codec is Codec.FFV1 else "mp4"
    for preset in ("plain", "invert"):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            render(source, tmp_path / f"{preset}.{suffix}", make_style(preset), codec=codec)
        assert any("is HDR" in r.getMessage() and "SDR" in r.getMessage() for r in caplog.records)
        with av.open(str(tmp_path / f"{preset}.{suffix}")) as container:
            frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p"
        tags = (frame.colorspace, frame.color_primaries, frame.color_trc)
        assert [int(tag) for tag in tags] == [1, 1, 1]
        level = int(decoded(tmp_path / f"{preset}.{suffix}")[0][0].mean())
        assert level == pytest.approx(wanted if preset == "plain" else 255 - wanted, abs=4)
    assert live(source)[0].mean() == pytest.approx(wanted, abs=2)


def test_tone_mapping_keeps_black_and_order() -> None:
    for transfer in (PQ, HLG):
        ramp = np.repeat(np.linspace(0, 1, 200)[:, None], 3, axis=1)
        shown = to_sdr(ramp, transfer, 1000.0)[:, 0]
        assert shown[0] == pytest.approx(0, abs=0.01)
        assert (np.diff(shown) >= 0).all()
    # 1000 cd/m² is the brightest there is, and so white.
    assert to_sdr(np.full((1, 3), 0.7518), PQ, 1000.0)[0, 0] == pytest.approx(1, abs=0.01)


# Transparency ----------------------------------------------------------------------------------

CLEAR = [
    ("prores_ks", "yuva444p10le", "mov"),
    ("qtrle", "argb", "mov"),
    ("png", "rgba", "mov"),
    ("libvpx-vp9", "yuva420p", "webm"),
    ("libvpx", "yuva420p", "webm"),
    ("ffv1", "yuva420p", "mkv"),
    ("gif", "pal8", "gif"),
]


@pytest.mark.parametrize(("codec", "layout", "suffix"), CLEAR)
def test_what_transparency_hides_stays_hidden(
    tmp_path: Path, make_style: MakeStyle, codec: str, layout: str, suffix: str
) -> None:
    path = tmp_path / f"clear.{suffix}"
    picture = np.zeros((48, 64, 4), np.uint8)
    picture[:, :32] = (0, 190, 0, 255)
    picture[:, 32:] = (255, 0, 255, 0)
    if codec == "gif":
        frames = [Image.fromarray(np.roll(picture, n, axis=0)) for n in range(3)]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=2)
    else:
        with av.open(str(path), "w") as container:
            options = {"auto-alt-ref": "0"} if codec.startswith("libvpx") else {}
            stream: Any = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, layout
            if suffix == "webm":
                stream.metadata["alpha_mode"] = "1"
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgba")))
            container.mux(stream.encode(None))
    assert live(path)[0][24, 48].max() < 6
    for out, target in ((Codec.H264, "h264.mp4"), (Codec.FFV1, "ffv1.mkv")):
        render(path, tmp_path / target, make_style("plain"), codec=out)
        (first, *_), _ = decoded(tmp_path / target)
        assert first[24, 48].max() < 6
        assert first[24, 16].tolist() == pytest.approx([0, 190, 0], abs=8)


@pytest.mark.parametrize("opaque", [True, False])
def test_only_what_is_transparent_is_called_so(
    tmp_path: Path, make_style: MakeStyle, caplog: pytest.LogCaptureFixture, opaque: bool
) -> None:
    frames = [Image.new("RGBA", (48, 32), (60 * n, 9, 9, 255)) for n in range(3)]
    if not opaque:
        frames = [frame.copy() for frame in frames]
        for frame in frames:
            frame.paste((0, 0, 0, 0), (0, 0, 8, 8))
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=2)
    with caplog.at_level(logging.INFO):
        render(path, tmp_path / "out.mp4", make_style("plain"))
    told = [r for r in caplog.records if "transparent in parts" in r.getMessage()]
    assert len(told) == (0 if opaque else 1)


# Pictures that look like films -----------------------------------------------------------------


def test_a_heic_is_no_film_of_one_tile(tmp_path: Path, make_style: MakeStyle) -> None:
    path = write_heic(tmp_path / "IMG_1.mp4")
    with pytest.raises(SourceError, match=r"IMG_1\.mp4 is a picture and no video"):
        render(path, tmp_path / "out.mp4", make_style("plain"))
    with pytest.raises(SourceError, match="is a picture and no video") as caught:
        VideoFileSource(path, SourceOptions()).open()
    assert not list(tmp_path.glob(".*"))
    # What the remedy says: another name, or another kind of source.
    assert "end in .heic" in caught.value.remedy
    assert "image:PATH" in caught.value.remedy
    still = path.rename(tmp_path / "IMG_1.heic")
    with ImageSource(still, SourceOptions()) as source:
        assert source.open().frame_size == FrameSize(96, 48)


@pytest.mark.parametrize("name", ["notes.txt", "picture.ans"])
def test_text_is_no_film(tmp_path: Path, make_style: MakeStyle, name: str) -> None:
    (tmp_path / name).write_text("a line of text\n" * 50)
    with pytest.raises(SourceError, match="is no video"):
        render(tmp_path / name, tmp_path / "out.mp4", make_style("plain"))


def test_a_picture_of_an_unread_kind_is_no_film(tmp_path: Path, make_style: MakeStyle) -> None:
    path = tmp_path / "scan.sgi"
    Image.new("RGB", (40, 30), (9, 9, 9)).save(path)
    with pytest.raises(SourceError, match=r"scan\.sgi is a picture of a kind that is not read"):
        render(path, tmp_path / "out.mp4", make_style("plain"))


def test_a_tag_of_colour_is_not_taken_for_hdr(tmp_path: Path, make_style: MakeStyle) -> None:
    # BT.2020 with the usual curve is wide, but not HDR: it is kept as it is, tags included.
    wide = Colour(9, 9, 14, full_range=False)
    source = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(4), colour=wide))
    render(source, tmp_path / "out.mp4", make_style("plain"))
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert [int(frame.colorspace), int(frame.color_primaries)] == [9, 9]
    assert ToVideo("yuv420p", wide)(moving_pictures(1)[0]).color_trc == 14
