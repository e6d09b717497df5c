"""The source that reads a filter in OBS, and answers it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import SourceError, SourceLostError, SourceWaitingError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.obs_filter.alpha import premultiply
from obs_stylizer.obs_filter.layout import VERSION
from obs_stylizer.segmentation.chroma import CHROMA
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.obs_filter import ObsFilterSource
from tests.fakes.obs_filter import FakeFilter

CANVAS = FrameSize(64, 48)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "obs-stylizer"


@pytest.fixture
def filters(folder: Path) -> Iterator[list[FakeFilter]]:
    made: list[FakeFilter] = []
    yield made
    for one in made:
        one.close()


def source_for(name: str = "", canvas: FrameSize = CANVAS) -> ObsFilterSource:
    return ObsFilterSource(name, SourceOptions(frame_size=canvas))


def noise(width: int, height: int, seed: int = 1) -> Pixels:
    rng = np.random.default_rng(seed)
    pixels: Pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return pixels


def asked(source: ObsFilterSource, one: FakeFilter, pixels: Pixels) -> tuple[int, Frame]:
    number = one.draw(pixels)
    frame = source.read(1.0)
    assert frame is not None
    return number, frame


def answer(one: FakeFilter) -> tuple[int, Pixels]:
    shown = one.shown()
    assert shown is not None
    return shown


def test_a_frame_and_its_answer(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(one := FakeFilter(folder))
    with source_for() as source:
        info = source.open()
        assert info.frame_size == CANVAS
        assert info.fps == 30
        assert "“style” on “Camera”" in info.name
        assert one.wanted == CANVAS
        pixels = noise(64, 48)
        number, frame = asked(source, one, pixels)
        assert np.array_equal(frame.pixels, pixels[..., :3])
        source.answer(frame.captured_at, 255 - frame.pixels, mirrored=False)
        shown = answer(one)
        assert shown[0] == number
        assert np.array_equal(shown[1][..., :3], 255 - pixels[..., :3])
        assert (shown[1][..., 3] == 255).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_alpha_is_kept_and_colours_are_styled_as_they_are(
    folder: Path, filters: list[FakeFilter], mirrored: bool
) -> None:
    filters.append(one := FakeFilter(folder))
    colours = noise(64, 48)
    alpha = (np.arange(64 * 48) % 256).astype(np.uint8).reshape(48, 64)
    laid = colours.copy()
    premultiply(laid, alpha)
    with source_for() as source:
        source.open()
        _, frame = asked(source, one, laid)
        difference = np.abs(frame.pixels.astype(int) - colours[..., :3])
        assert difference[alpha == 255].max() == 0
        assert difference[alpha > 200].max() <= 1
        styled = frame.pixels[:, ::-1] if mirrored else frame.pixels
        source.answer(frame.captured_at, styled, mirrored=mirrored)
        shown = answer(one)[1]
        assert np.array_equal(shown, laid[:, ::-1] if mirrored else laid)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_the_style_makes_transparent_is_so_in_obs(
    folder: Path, filters: list[FakeFilter], mirrored: bool
) -> None:
    filters.append(one := FakeFilter(folder))
    colours = np.full((48, 64, 4), (200, 30, 100, 255), np.uint8)
    colours[:, :16] = 0  # nothing is there in OBS
    own = np.full((48, 64), 255, np.uint8)
    own[:24] = 0  # and here the style leaves nothing
    own[24:30] = 51
    with source_for() as source:
        source.open()
        _, frame = asked(source, one, colours)
        styled = frame.pixels[:, ::-1] if mirrored else frame.pixels
        share = own[..., np.newaxis] / 255
        over_green = np.rint(styled * share + np.array(CHROMA) * (1 - share)).astype(np.uint8)
        source.answer(frame.captured_at, over_green, own, mirrored=mirrored)
        shown = answer(one)[1]
        shown = shown[:, ::-1] if mirrored else shown
        assert (shown[:24] == 0).all()
        assert (shown[:, :16] == 0).all()
        assert (shown[30:, 16:] == colours[30:, 16:]).all()
        expected = colours[24:30, 16:].copy()
        premultiply(expected, np.full((6, 48), 51, np.uint8))
        assert np.abs(shown[24:30, 16:].astype(int) - expected).max() <= 2


@pytest.mark.parametrize("size", [(64, 48), (32, 24), (24, 64), (64, 20), (33, 77), (200, 150)])
def test_the_shape_of_the_source_is_kept(
    folder: Path, filters: list[FakeFilter], size: tuple[int, int]
) -> None:
    filters.append(one := FakeFilter(folder, size=size))
    with source_for() as source:
        source.open()
        width, height = one.wanted.width, one.wanted.height
        assert abs(width / height - size[0] / size[1]) < 0.1
        ramp = np.linspace(0, 255, width).astype(np.uint8)
        pixels = np.full((height, width, 4), 255, np.uint8)
        pixels[..., :3] = ramp[None, :, None]
        _, frame = asked(source, one, pixels)
        # What comes to the stylizer has the shape of what it makes, but for a pixel or two.
        assert abs(frame.size.width / frame.size.height - 64 / 48) < 0.1
        styled = np.empty(CANVAS.shape, np.uint8)
        cv2.resize(frame.pixels, (64, 48), dst=styled)
        source.answer(frame.captured_at, styled, mirrored=False)
        shown = answer(one)[1]
        assert shown.shape == (height, width, 4)
        # Geometry is right where the ramp is, within what scaling loses.
        assert np.abs(shown[height // 2, :, 0].astype(int) - ramp).mean() < 10


def test_it_follows_the_size_of_the_source(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(one := FakeFilter(folder))
    with source_for() as source:
        source.open()
        one.head["source_width"], one.head["source_height"] = 48, 48
        assert source.read(0.02) is None
        assert one.wanted == FrameSize(48, 48)
        # Its source has become empty, as one that is being loaded is.
        one.head["source_width"] = 0
        assert source.read(0.02) is None


def test_an_answer_that_nobody_asked_for_is_left_out(
    folder: Path, filters: list[FakeFilter]
) -> None:
    filters.append(one := FakeFilter(folder))
    with source_for() as source:
        source.open()
        source.answer(1.0, np.zeros(CANVAS.shape, np.uint8), mirrored=False)
        assert one.shown() is None
    source.answer(1.0, np.zeros(CANVAS.shape, np.uint8), mirrored=False)
    source.beat()


def test_a_frozen_picture_stays(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(one := FakeFilter(folder))
    with source_for() as source:
        source.open()
        for value, frozen, expected in ((10, False, 10), (20, True, 10), (30, False, 30)):
            source.freeze(frozen=frozen)
            number, frame = asked(source, one, noise(64, 48))
            source.answer(frame.captured_at, np.full(CANVAS.shape, value, np.uint8), mirrored=False)
            shown = answer(one)
            assert (shown[0], int(shown[1][0, 0, 0])) == (number, expected)


def test_signs_of_life_and_words_reach_the_filter(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(one := FakeFilter(folder))
    source = source_for()
    source.open()
    assert int(one.head["beat"][0]) == 0
    source.describe("Great Wave", "http://127.0.0.1:8765/")
    source.beat()
    assert int(one.head["beat"][0]) > 0
    assert one.text("on_air") == "Great Wave"
    assert one.text("panel") == "http://127.0.0.1:8765/"
    source.close()
    # The plain picture is back at once, and not after a second without a sign of life.
    assert int(one.head["beat"][0]) == 0


def test_it_waits_for_a_filter_and_says_so(folder: Path, filters: list[FakeFilter]) -> None:
    with source_for() as source:
        with pytest.raises(SourceWaitingError, match="no obs-stylizer filter") as caught:
            source.open()
        assert "--filter" in caught.value.remedy
        filters.append(FakeFilter(folder))
        source.open()


def test_a_name_chooses(folder: Path, filters: list[FakeFilter]) -> None:
    filters += [FakeFilter(folder, "Camera", "a"), FakeFilter(folder, "Guest", "b")]
    for name, expected in (("guest", "Guest"), ("a", "Camera"), ("", "Guest")):
        with source_for(name) as source:
            assert f"on “{expected}”" in source.open().name
    with source_for("Nobody") as source, pytest.raises(SourceWaitingError) as caught:
        source.open()
    assert "“a” on “Camera”" in caught.value.remedy
    filters[0].seen()
    with source_for() as source:
        assert "on “Camera”" in source.open().name


def test_one_filter_is_served_by_one_only(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(FakeFilter(folder))
    with source_for() as first, source_for() as second:
        first.open()
        with pytest.raises(SourceWaitingError, match="another obs-stylizer"):
            second.open()
        first.close()
        second.open()


def test_a_filter_that_goes_is_lost(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(FakeFilter(folder))
    with source_for() as source:
        source.open()
        filters[0].close()
        with pytest.raises(SourceLostError, match="removed"):
            source.read(0.05)


def test_an_obs_that_was_killed_is_noticed(folder: Path, filters: list[FakeFilter]) -> None:
    one = FakeFilter(folder)
    with source_for() as source:
        source.open()
        one.die()
        one.head["drawn_at"] = 1.0
        source._looked_at = 0.0
        with pytest.raises(SourceLostError, match="ended"):
            source.read(0.01)


def test_the_filter_that_is_seen_is_taken_where_none_was_named(
    folder: Path, filters: list[FakeFilter]
) -> None:
    filters.append(one := FakeFilter(folder, "Camera"))
    with source_for() as source:
        source.open()
        filters.append(FakeFilter(folder, "Guest"))
        one.head["drawn_at"] = 1.0
        source._looked_at = 0.0
        with pytest.raises(SourceLostError, match="another filter"):
            source.read(0.01)
        assert "on “Guest”" in source.open().name


def test_an_empty_source_is_waited_for(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(FakeFilter(folder, size=(0, 0)))
    with source_for() as source, pytest.raises(SourceWaitingError, match="nothing to show"):
        source.open()


def test_another_version_is_an_error(folder: Path, filters: list[FakeFilter]) -> None:
    filters.append(FakeFilter(folder, version=VERSION + 1))
    with source_for() as source, pytest.raises(SourceError, match="version"):
        source.open()
