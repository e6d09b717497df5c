"""The file that a filter in OBS and the daemon share, and what either side does to a bad one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter import layout, listing
from obs_stylizer.obs_filter.layout import HEADER, HEADER_BYTES, NONE, VERSION
from obs_stylizer.obs_filter.listing import Sign, filter_folders, list_filters
from obs_stylizer.obs_filter.mapping import FilterMapping, fitted
from tests.fakes.obs_filter import FakeFilter

SCRIPT = Path(__file__).resolve().parents[2] / "installer" / "obs" / "obs-stylizer-filter.lua"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "obs-stylizer"


@pytest.fixture
def filter_in_obs(folder: Path) -> Iterator[FakeFilter]:
    made = FakeFilter(folder)
    yield made
    made.close()


def picture(value: int, size: tuple[int, int] = (64, 48)) -> Pixels:
    return np.full((size[1], size[0], 4), value, np.uint8)


def test_the_script_has_the_same_layout() -> None:
    text = SCRIPT.read_text("utf-8")
    assert f"local VERSION = {VERSION} " in text
    assert f"local HEADER_BYTES = {HEADER_BYTES}\n" in text
    assert f"local SLOTS = {layout.SLOTS}\n" in text
    assert f'ffi.copy(head.magic, "{layout.MAGIC.decode()}", 8)' in text
    offset = HEADER.fields["to_daemon"][1]  # type: ignore[index]
    assert f'ffi.offsetof("sf_header", "to_daemon") == {offset}' in text
    assert HEADER.itemsize == HEADER_BYTES
    # Every field, in the same order, of the same size.
    body = text[text.index("  char magic[8];") : text.index("} sf_header;")]
    sizes = {"char": 1, "uint32_t": 4, "double": 8, "sf_channel": layout.CHANNEL.itemsize}
    fields = []
    for kind, names in re.findall(
        r"(?:volatile )?(char|uint32_t|double|sf_channel) ([^;]+);", body
    ):
        for name, _, count in re.findall(r"(\w+)(\[(\d+)\])?", names):
            fields.append(sizes[kind] * int(count or 1))
            assert name
    assert fields == [HEADER[name].itemsize for name in HEADER.names or ()]


def test_pictures_go_over_and_answers_come_back(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    assert mapping.read() is None
    number = filter_in_obs.draw(picture(7))
    assert mapping.has_new
    read = mapping.read()
    assert read is not None
    assert (read.sequence, int(read.pixels.min()), int(read.pixels.max())) == (number, 7, 7)
    assert 0 <= read.age < 2
    assert not mapping.has_new
    assert mapping.read() is None
    mapping.answer_into(FrameSize(64, 48))[:] = 200
    mapping.publish(number)
    shown = filter_in_obs.shown()
    assert shown is not None
    assert shown[0] == number
    assert (shown[1] == 200).all()
    mapping.close()
    mapping.close()


def test_only_the_newest_picture_is_read(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    for value in range(1, 8):
        filter_in_obs.draw(picture(value))
    read = mapping.read()
    assert read is not None
    assert int(read.pixels[0, 0, 0]) == 7
    mapping.close()


def test_a_picture_that_is_being_written_is_not_read(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    filter_in_obs.draw(picture(1))
    channel = filter_in_obs.head["to_daemon"]
    channel["slots"]["begun"][0, int(channel["newest"][0])] += 1
    assert mapping.read() is None
    mapping.close()


@pytest.mark.parametrize(
    ("width", "height", "stride"),
    [
        (0, 0, 0),
        (4_000_000_000, 4, 4),
        (64, 48, 1),
        (64, 48, 257),
        (64, 4_000_000_000, 256),
        (5000, 5000, 20_000),
        (70_000, 1, 280_000),
    ],
)
def test_a_picture_of_impossible_size_is_left_out(
    filter_in_obs: FakeFilter, width: int, height: int, stride: int
) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    filter_in_obs.draw(picture(1))
    channel = filter_in_obs.head["to_daemon"]
    slots, newest = channel["slots"], int(channel["newest"][0])
    slots["width"][0, newest], slots["height"][0, newest] = width, height
    slots["stride"][0, newest] = stride
    assert mapping.read() is None
    filter_in_obs.draw(picture(9))
    assert mapping.read() is not None
    mapping.close()


def test_numbers_of_slots_that_do_not_exist(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    filter_in_obs.draw(picture(1))
    filter_in_obs.head["to_daemon"]["newest"] = 4_000_000_000
    assert mapping.read() is None
    filter_in_obs.head["to_obs"]["reading"] = 77
    filter_in_obs.head["to_obs"]["newest"] = 123_456
    mapping.answer_into(FrameSize(64, 48))[:] = 1
    mapping.publish(1)
    with pytest.raises(ValueError, match="does not fit"):
        mapping.answer_into(FrameSize(5000, 5000))
    mapping.close()


@pytest.mark.parametrize(
    ("field", "value"),
    [("slot_bytes", 0), ("slot_bytes", 2**32 - 1), ("slot_bytes", 4096), ("slots", 9)],
)
def test_a_header_that_lies_is_refused(filter_in_obs: FakeFilter, field: str, value: int) -> None:
    filter_in_obs.head[field] = value
    with pytest.raises(SourceLostError, match="cannot be"):
        FilterMapping(filter_in_obs.path)


def test_files_that_are_none_are_refused(folder: Path) -> None:
    folder.mkdir()
    short, other = folder / "filter-1-1-1.map", folder / "filter-1-2-1.map"
    short.write_bytes(b"OBSTYLZR")
    other.write_bytes(bytes(100_000))
    for path in (short, other, folder / "filter-1-3-1.map"):
        with pytest.raises(SourceLostError):
            FilterMapping(path)
    assert list_filters() == []
    (folder / "filter-1-4-1.map").symlink_to(other)
    with pytest.raises(SourceLostError):
        FilterMapping(folder / "filter-1-4-1.map")


def test_another_version_is_refused_in_words_on_both_sides(folder: Path) -> None:
    other = FakeFilter(folder, version=VERSION + 1)
    (info,) = list_filters()
    assert info.version == VERSION + 1
    with pytest.raises(SourceError, match=f"version {VERSION + 1}.*version {VERSION}"):
        FilterMapping(other.path)
    # By which the script says it, too.
    assert int(other.head["daemon_version"][0]) == VERSION
    other.close()


def test_the_listing_names_what_is_there(folder: Path, filter_in_obs: FakeFilter) -> None:
    wave = FakeFilter(folder, "Wäve", "second", (0, 0))
    first, second = list_filters()
    assert str(first) == "“style” on “Camera”, 64x48"
    assert (second.source, second.name, second.size) == ("Wäve", "second", None)
    assert first.answers_to("camera")
    assert second.answers_to("SECOND")
    assert not first.answers_to("cam")
    assert first.is_seen
    wave.close()
    assert list_filters() == [first]


def test_what_a_killed_obs_leaves_is_removed(folder: Path, filter_in_obs: FakeFilter) -> None:
    dead = FakeFilter(folder)
    dead.die()
    assert [info.path for info in list_filters()] == [filter_in_obs.path]
    assert not dead.path.exists()


def test_files_of_another_user_are_not_read(
    folder: Path,
    filter_in_obs: FakeFilter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listing.os, "geteuid", lambda: os.getuid() + 1)
    assert list_filters() == []
    sign = Sign(FrameSize(64, 48))
    for _ in range(3):
        sign.show()
    assert caplog.text.count("belongs to another user") == 1
    assert not (folder / "daemon").exists()


def test_the_sign(folder: Path) -> None:
    sign = Sign(FrameSize(640, 360))
    sign.show()
    text = (folder / "daemon").read_text()
    assert re.fullmatch(rf"obs-stylizer {VERSION} 640x360 {os.getpid()}\n", text)
    assert folder.stat().st_mode & 0o777 == 0o700
    # Another's is left alone by ours.
    (folder / "daemon").write_text("obs-stylizer 1 640x360 1\n")
    sign.remove()
    assert (folder / "daemon").exists()
    sign.show()
    sign.remove()
    assert not (folder / "daemon").exists()


def test_a_flatpak_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert filter_folders() == [tmp_path / "obs-stylizer"]
    flatpak = tmp_path / "app" / "com.obsproject.Studio"
    flatpak.mkdir(parents=True)
    assert filter_folders()[1] == flatpak / "obs-stylizer"


def test_texts_are_cut_between_letters(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    mapping.tell(state="ä" * 300, on_air="wave", panel="http://127.0.0.1:8765/")
    assert filter_in_obs.text("state") == "ä" * 127
    mapping.tell(on_air="ink")
    assert filter_in_obs.text("on_air") == "ink"
    mapping.close()


def test_of_many_presets_as_many_are_offered_as_there_is_room(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    names = [f"wäve-{number}" for number in range(500)]
    mapping.offer(names)
    offered = filter_in_obs.text("presets").split()
    assert 100 < len(offered) < 500
    assert offered == names[: len(offered)]
    mapping.close()


def test_signs_of_life_never_stand_still(filter_in_obs: FakeFilter) -> None:
    mapping = FilterMapping(filter_in_obs.path)
    filter_in_obs.head["beat"] = 2**32 - 1
    mapping.beat()
    assert int(filter_in_obs.head["beat"][0]) == 1
    mapping.beat()
    assert int(filter_in_obs.head["beat"][0]) == 2
    mapping.rest()
    assert int(filter_in_obs.head["beat"][0]) == 0
    assert NONE >= layout.SLOTS
    mapping.close()


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ((1920, 1080), (1280, 720)),
        ((640, 360), (640, 360)),
        ((7680, 4320), (1280, 720)),
        ((1080, 1920), (405, 720)),
        ((333, 777), (309, 720)),
        ((2, 2), (16, 16)),
        ((8192, 1), (1280, 16)),
    ],
)
def test_the_size_asked_for(source: tuple[int, int], wanted: tuple[int, int]) -> None:
    canvas = FrameSize(1280, 720)
    room = layout.slot_bytes_for(1280, 720)
    assert fitted(FrameSize(*source), canvas, room) == FrameSize(*wanted)


def test_the_size_asked_for_has_room() -> None:
    room = layout.slot_bytes_for(640, 360)
    size = fitted(FrameSize(1920, 1080), FrameSize(1280, 720), room)
    assert 600 < size.width <= 640
    assert size.width * size.height * 4 <= room
