"""Still pictures of every kind."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Pixels
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.image import MAX_IMAGE_SIDE, ImageSource, load_picture


def save(path: Path, picture: np.ndarray) -> Path:
    ok, data = cv2.imencode(path.suffix, picture)
    assert ok
    path.write_bytes(data.tobytes())
    return path


def shown(path: Path) -> Pixels:
    return load_picture(path)[0]


def test_colours_come_as_rgb(tmp_path: Path) -> None:
    picture = np.zeros((10, 12, 3), np.uint8)
    picture[:] = (10, 20, 200)  # BGR
    assert shown(save(tmp_path / "red.png", picture))[0, 0].tolist() == [200, 20, 10]


def test_a_name_with_any_letters(tmp_path: Path) -> None:
    path = save(tmp_path / "Bücher 画像.png", np.full((8, 8, 3), 7, np.uint8))
    assert shown(path).shape == (8, 8, 3)


def test_grey_becomes_three_channels(tmp_path: Path) -> None:
    picture = shown(save(tmp_path / "grey.png", np.full((9, 7), 120, np.uint8)))
    assert picture.shape == (9, 7, 3)
    assert picture[0, 0].tolist() == [120, 120, 120]


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.full((6, 6, 3), 0x8000, np.uint16)
    assert shown(save(tmp_path / "deep.png", deep))[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_transparency_lies_on_black(tmp_path: Path, depth: type[np.generic]) -> None:
    peak = np.iinfo(depth).max
    picture = np.full((4, 4, 4), peak, depth)
    picture[:2, :, 3] = 0
    rgb = shown(save(tmp_path / "cut.png", picture))
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert rgb[3, 3].tolist() == [255, 255, 255]


def test_the_camera_was_held_sideways(tmp_path: Path) -> None:
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, :20] = 255
    path = save(tmp_path / "turned.jpg", picture)
    # An EXIF block with one entry: orientation 6, a quarter turn clockwise to be upright.
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0" + b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + bytes(4)
    data = path.read_bytes()
    block = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(data[:2] + block + data[2:])
    upright = shown(path)
    assert upright.shape == (40, 20, 3)
    assert upright[5, 10, 0] > 250
    assert upright[35, 10, 0] < 5


def test_a_huge_photograph_is_shrunk(tmp_path: Path) -> None:
    path = save(tmp_path / "wide.png", np.zeros((10, MAX_IMAGE_SIDE * 2, 3), np.uint8))
    picture, detail = load_picture(path)
    assert picture.shape == (5, MAX_IMAGE_SIDE, 3)
    assert "shrunk" in detail


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "there is no file"),
        ("empty.png", b"", "is empty"),
        ("text.png", b"not a picture at all", "is no picture"),
        ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "cut.png"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        ImageSource(path, SourceOptions()).open()
    assert caught.value.remedy


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        ImageSource(tmp_path, SourceOptions()).open()


def test_a_changed_file_is_read_anew_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((8, 8, 3), 10, np.uint8))
    clock = ManualClock()
    source = ImageSource(path, SourceOptions(fps=2, clock=clock))
    source.open()

    def levels() -> set[int]:
        frames = [source.read(1) for _ in range(4)]
        return {int(frame.pixels[0, 0, 0]) for frame in frames[2:] if frame is not None}

    assert levels() == {10}
    path.write_bytes(b"half of a fi")
    os.utime(path, ns=(1, 1))
    assert levels() == {10}
    save(path, np.full((8, 8, 3), 90, np.uint8))
    os.utime(path, ns=(2, 2))
    assert levels() == {90}
    path.unlink()
    assert levels() == {90}
