"""Pictures in, pictures out: names, what is left out, animations."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from obs_stylizer.errors import SourceError, UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.encoders import Codec
from obs_stylizer.render.file_render import Output
from obs_stylizer.render.requests import plan_requests
from obs_stylizer.render.worklist import RenderOptions, do_request
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.video_file import VideoFileSource
from tests.fakes.heic import write_heic
from tests.render.clips import decoded
from tests.render.conftest import MakeStyle


def render(make_style: MakeStyle, source: Path, target: str, codec: Codec = Codec.H264) -> None:
    options = RenderOptions(make_style("plain"), Output(codec=codec))
    for request in plan_requests([str(source)], target, codec, ""):
        do_request(request, options, lambda progress: None, threading.Event())


def write_animation(path: Path, **options: object) -> Path:
    frames = [Image.new("RGB", (48, 32), (60 * number, 200, 0)) for number in range(4)]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[500, 40, 60, 1000], **options
    )
    return path


def test_a_folder_from_a_telephone(
    tmp_path: Path, make_style: MakeStyle, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "DCIM"
    folder.mkdir()
    write_heic(folder / "IMG_1.HEIC")
    write_heic(folder / "IMG_2.HEIC")
    Image.new("RGB", (20, 10), (9, 9, 9)).save(folder / "IMG_2.jpg")
    write_animation(folder / "moving.gif")
    (folder / "notes.txt").write_text("about it")
    for leftover in ("._IMG_1.HEIC", ".DS_Store", "Thumbs.db"):
        (folder / leftover).write_bytes(b"\0\5\x16\7")
    with caplog.at_level(logging.WARNING):
        render(make_style, folder, str(tmp_path / "out") + "/")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "IMG_1.jpg",
        "IMG_2.HEIC.jpg",
        "IMG_2.jpg",
    ]
    with Image.open(tmp_path / "out" / "IMG_1.jpg") as picture:
        assert picture.size == (96, 48)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "moving.gif, notes.txt" in line
    for leftover in ("._IMG_1", "DS_Store", "Thumbs"):
        assert leftover not in line
    # The remedy: a film that is named itself is rendered.
    render(make_style, folder / "moving.gif", str(tmp_path / "moving.mp4"))
    assert len(decoded(tmp_path / "moving.mp4")[0]) == 4


def test_a_folder_without_pictures_says_what_pictures_are(tmp_path: Path) -> None:
    (tmp_path / "._a.jpg").write_bytes(b"twin")
    with pytest.raises(SourceError, match="no picture in the folder") as caught:
        plan_requests([str(tmp_path)], str(tmp_path / "out"), Codec.H264, "")
    assert ".heic" in caught.value.remedy


def test_an_animation_is_one_picture_with_a_word_or_a_film(
    tmp_path: Path, make_style: MakeStyle, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_animation(tmp_path / "moving.webp", lossless=True)
    with caplog.at_level(logging.WARNING):
        render(make_style, source, str(tmp_path / "still.png"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert "4 pictures, of which the first is taken" in line
    assert ".mp4" in line
    render(make_style, source, str(tmp_path / "film.mp4"))
    pictures, times = decoded(tmp_path / "film.mp4")
    assert times == pytest.approx([0, 0.5, 0.54, 0.6])
    assert [round(float(picture[..., 0].mean()) / 60) for picture in pictures] == [0, 1, 2, 3]
    render(make_style, source, str(tmp_path / "film.mkv"), Codec.FFV1)
    assert len(decoded(tmp_path / "film.mkv")[0]) == 4


def test_an_animation_that_cannot_be_played_live_can_be_made_a_film(
    tmp_path: Path, make_style: MakeStyle
) -> None:
    source = write_animation(tmp_path / "moving.webp", lossless=True)
    with pytest.raises(SourceError, match="not one frame") as caught:
        VideoFileSource(source, SourceOptions()).open()
    named = re.search(r"obs-stylizer render (\S+) -o (\S+)", caught.value.remedy)
    assert named is not None
    render(make_style, tmp_path / named[1], str(tmp_path / named[2]))
    with VideoFileSource(tmp_path / "moving.mp4", SourceOptions()) as played:
        assert played.open().frame_size == FrameSize(48, 32)


def test_one_picture_is_no_film(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_heic(tmp_path / "IMG_1.HEIC")
    with pytest.raises(SourceError, match="one picture, and no film") as caught:
        render(make_style, source, str(tmp_path / "film.mp4"))
    assert ".png or .jpg" in caught.value.remedy
    for suffix in (".png", ".jpg"):
        render(make_style, source, str(tmp_path / f"still{suffix}"))
        with Image.open(tmp_path / f"still{suffix}") as picture:
            assert picture.size == (96, 48)


def test_a_picture_cannot_be_written_as_anything(tmp_path: Path, make_style: MakeStyle) -> None:
    source = write_heic(tmp_path / "IMG_1.HEIC")
    with pytest.raises(UsageError, match=r"cannot become still\.heic") as caught:
        render(make_style, source, str(tmp_path / "still.heic"))
    named = caught.value.remedy.partition("end in ")[2].partition(";")[0].split(", ")
    assert len(named) == 7
    for suffix in named:
        render(make_style, source, str(tmp_path / f"still{suffix}"))
        assert cv2.imread(str(tmp_path / f"still{suffix}")).shape == (48, 96, 3)


def test_colours_and_orientation_reach_the_rendering(tmp_path: Path, make_style: MakeStyle) -> None:
    picture = np.zeros((4200, 40, 4), np.uint8)
    picture[:2100] = (20, 160, 40, 255)
    picture[2100:] = (255, 255, 255, 0)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(picture).save(tmp_path / "long.png", exif=exif)
    render(make_style, tmp_path / "long.png", str(tmp_path / "out.png"))
    with Image.open(tmp_path / "out.png") as seen:
        assert seen.size == (4200, 40)
        assert seen.getexif().get(0x0112, 1) == 1
        assert seen.getpixel((100, 20)) == (20, 160, 40)
        assert seen.getpixel((4100, 20)) == (0, 0, 0)
