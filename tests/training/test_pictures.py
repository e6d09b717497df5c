"""Pictures of every kind, broken ones among them."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.datasets import (
    PairedPictures,
    PictureSet,
    cut_crop,
    sample_random,
    vary_exposure,
)
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
    with pytest.raises(TrainingError, match=r"there is no file .*gone\.png"):
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


def leave_behind(folder: Path) -> None:
    """Put into a folder what systems leave beside pictures."""
    twin = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)
    for name in ("._a.png", "._gone.jpg", ".hidden.png", "__MACOSX/._a.png", "@eaDir/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(twin)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "Thumbs.db").write_bytes(bytes(100))
    (folder / ".thumbnails").mkdir()
    write_picture(folder / ".thumbnails" / "a.png", np.zeros((4, 4, 3), np.uint8))
    (folder / "folder.jpg").mkdir()


def test_what_systems_leave_beside_pictures_is_no_picture(tmp_path: Path) -> None:
    place = tmp_path / ".data" / "photos"  # Where the folder itself lies does not matter.
    for name in ("a", "b", "below/c"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(place / f"{name}.png", scene(0, 20, 16))
    leave_behind(place)
    found = find_pictures(place)
    assert [path.name for path in found] == ["a.png", "b.png", "c.png"]
    pictures = PictureSet(found, 64)
    pictures.check()
    assert pictures.broken == []


def test_targets_are_found_beside_leftovers_and_by_accents_taken_apart(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    for folder, name in (("content", composed), ("targets", apart)):
        (tmp_path / folder).mkdir()
        # Larger than what is asked for: pairs are scaled, all six channels.
        write_picture(tmp_path / folder / f"{name}.png", scene(0, 200, 160))
        leave_behind(tmp_path / folder)
    pairs = PairedPictures.of(find_pictures(tmp_path / "content"), tmp_path / "targets", 64)
    assert len(pairs) == 1
    assert pairs.draw(sample_random(0, 0, 0)).shape == (80, 64, 6)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", scene(number, 20, 16))
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    odd.write_bytes((tmp_path / "0.png").read_bytes())
    kept, out = split_held_out(find_pictures(tmp_path), 2)
    assert len(kept) == len(out) == 2
    assert read_picture(odd).shape == read_picture(tmp_path / "0.png").shape


def test_the_hash_of_an_ordinary_name_is_that_of_its_utf_8() -> None:
    paths = [Path(f"{name}.png") for name in ("ä", "b", "c", "長")]
    _, out = split_held_out(paths, 1)
    first = min(paths, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    assert out == [first]


def test_every_kind_of_picture_is_read_as_it_is_seen(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(scene(0, 32, 40))
    turn = Image.Exif()
    turn[0x0112] = 6
    kinds = {
        "grey_alpha.png": picture.convert("LA"),
        "palette.png": picture.quantize(16),
        "onebit.png": picture.convert("1"),
        "cmyk.jpg": picture.convert("CMYK"),
        "lossless.webp": picture,
    }
    for name, image in kinds.items():
        image.save(tmp_path / name)
        assert read_picture(tmp_path / name).shape == (32, 40, 3)
    for name in ("turned.jpg", "turned_alpha.png"):
        image = picture if name == "turned.jpg" else picture.convert("RGBA")
        image.save(tmp_path / name, exif=turn)
        assert read_picture(tmp_path / name).shape == (40, 32, 3)
    clear = np.full((8, 8, 4), (255, 0, 255, 0), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
