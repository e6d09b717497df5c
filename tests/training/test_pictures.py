"""Pictures of every kind, broken ones among them."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.datasets import PictureSet, cut_crop, sample_random, vary_exposure
from obs_stylizer.training.pictures import find_pictures, read_picture, split_held_out

from .conftest import scene, write_picture

pytestmark = pytest.mark.training


def test_colours_stay_in_order(tmp_path: Path) -> None:
    picture = np.zeros((4, 5, 3), np.uint8)
    picture[..., 0] = 200
    read = read_picture(write_picture(tmp_path / "red.png", picture))
    assert np.array_equal(read, picture)
    assert read.flags["C_CONTIGUOUS"]


def test_grey_16_bit_and_tiny(tmp_path: Path) -> None:
    grey = read_picture(write_picture(tmp_path / "grey.png", np.full((4, 4), 77, np.uint8)))
    assert grey.shape == (4, 4, 3)
    assert (grey == 77).all()
    deep = np.full((4, 4, 3), 0x8000, np.uint16)
    assert (read_picture(write_picture(tmp_path / "deep.png", deep)) == 0x80).all()
    deep_grey = np.full((4, 4), 0x4000, np.uint16)
    assert (read_picture(write_picture(tmp_path / "deep_grey.png", deep_grey)) == 0x40).all()
    one = read_picture(write_picture(tmp_path / "one.png", np.full((1, 1, 3), 9, np.uint8)))
    assert one.shape == (1, 1, 3)


def test_transparent_is_laid_on_white(tmp_path: Path) -> None:
    picture = np.zeros((2, 2, 4), np.uint8)
    picture[0, 0, 3] = 255
    read = read_picture(write_picture(tmp_path / "clear.png", picture))
    assert read[0, 0].tolist() == [0, 0, 0]
    assert read[1, 1].tolist() == [255, 255, 255]
    deep = np.zeros((2, 2, 4), np.uint16)
    assert (read_picture(write_picture(tmp_path / "deep_clear.png", deep)) == 255).all()


def test_cmyk(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow writes the CMYK picture")
    path = tmp_path / "ink.jpg"
    image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(path, quality=95)
    read = read_picture(path)
    assert read.shape == (16, 16, 3)
    red, green, blue = read.reshape(-1, 3).mean(0)
    assert red < 60 < green
    assert blue > 120


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut off"])
def test_broken_pictures_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"broken\.png"):
        read_picture(path)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"gone\.png cannot be read"):
        read_picture(tmp_path / "gone.png")


def test_a_broken_picture_among_many_is_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", scene(number))
    (tmp_path / "1.png").write_bytes(b"gone wrong")
    pictures = PictureSet(find_pictures(tmp_path), 64)
    with caplog.at_level(logging.WARNING):
        drawn = [pictures.draw(sample_random(0, step, 0)) for step in range(30)]
    assert len(pictures.broken) == 1
    assert sum("1.png" in line for line in caplog.messages) == 1
    assert all(min(picture.shape[:2]) == 64 for picture in drawn)


def test_nothing_but_broken_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no")
    pictures = PictureSet(find_pictures(tmp_path), 64)
    with pytest.raises(TrainingError, match="none of the 1 pictures"):
        pictures.check()
    with pytest.raises(TrainingError, match="none of the 1 pictures"):
        pictures.draw(sample_random(0, 0, 0))


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none here", encoding="utf-8")
    with pytest.raises(TrainingError, match="there are no pictures"):
        find_pictures(tmp_path)
    with pytest.raises(TrainingError, match="there is no folder"):
        find_pictures(tmp_path / "nowhere")


def test_the_held_out_pictures_do_not_depend_on_the_others() -> None:
    paths = [Path(f"{number}.jpg") for number in range(20)]
    training, held_out = split_held_out(paths, 4)
    assert len(held_out) == 4
    assert not set(training) & set(held_out)
    fewer = [path for path in paths if path not in training[:5]]
    assert split_held_out(fewer, 4)[1] == held_out
    with pytest.raises(TrainingError, match="leaves none"):
        split_held_out(paths, 20)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 40), (300, 20)])
def test_crops_of_any_picture(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 50, np.uint8)
    for step in range(10):
        crop = cut_crop(picture, sample_random(0, step, 0), 32, (32, 128))
        assert crop.shape == (32, 32, 3)
        assert (crop == 50).all()


def test_the_same_numbers_cut_the_same_crop() -> None:
    first, again = (cut_crop(scene(1), sample_random(5, 6, 7), 32, (32, 64)) for _ in range(2))
    other = cut_crop(scene(1), sample_random(5, 6, 8), 32, (32, 64))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_exposure_keeps_black_black() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert (vary_exposure(picture, sample_random(0, 0, 0), 0.5) == 0).all()


def test_orientation_of_a_camera_is_applied(tmp_path: Path) -> None:
    encoded = cv2.imencode(".jpg", np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    # An APP1 segment that says: turn by a quarter.
    note = (
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00"
        b"\x06\x00\x00\x00\x00\x00\x00\x00"
    )
    segment = b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note
    path = tmp_path / "turned.jpg"
    path.write_bytes(encoded[:2] + segment + encoded[2:])
    assert read_picture(path).shape == (16, 8, 3)
