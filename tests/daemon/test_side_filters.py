"""Filters in OBS beside the source: which are served, with which preset, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.daemon import side_filters
from obs_stylizer.daemon.side_filters import SideFilters
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.requests import ShowPreset
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.obs_filter import ObsFilterSource
from obs_stylizer.styling.preset_loader import PresetLoader
from tests.fakes.models import TINTS, write_invert_model, write_tint_model
from tests.fakes.obs_filter import FakeFilter

SIZE = FrameSize(64, 48)
PICTURE = np.full((48, 64, 4), (100, 50, 30, 255), np.uint8)
INVERTED = np.full((48, 64, 4), (155, 205, 225, 255), np.uint8)
TINTED = PICTURE.copy()
TINTED[..., :3] += np.array(TINTS[0]).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "obs-stylizer"


@pytest.fixture
def library(tmp_path: Path) -> PresetLibrary:
    presets = tmp_path / "presets"
    write_invert_model(presets / "inverted.onnx")
    write_tint_model(presets / "tinted.onnx")
    for name, model in (("inverted", "inverted"), ("tinted", "tinted"), ("broken", "nothing")):
        (presets / f"{name}.yaml").write_text(
            f"title: {name.title()}\nmodel: {model}.onnx\nprocess_size: {SIZE}\n", "utf-8"
        )
    return PresetLibrary([presets])


@pytest.fixture
def filters(folder: Path, library: PresetLibrary) -> Iterator[SideFilters]:
    session = SessionOptions(provider=Provider.CPU, precision=Precision.F32)
    made = SideFilters(
        SourceOptions(frame_size=SIZE),
        PresetLoader(SIZE, session),
        library,
        {"Mapped": "tinted"},
        motion=True,
        device_lost=lambda error: pytest.fail(str(error)),
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture
def add(folder: Path) -> Iterator[Callable[[str, str], FakeFilter]]:
    made: list[FakeFilter] = []

    def make(source: str, preset: str = "") -> FakeFilter:
        made.append(FakeFilter(folder, source))
        made[-1].head["preset"] = preset.encode()
        return made[-1]

    yield make
    for one in made:
        one.close()


def shows(one: FakeFilter, expected: Pixels) -> bool:
    """Draw for a while, as OBS does, until the answer is as expected."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        one.draw(PICTURE)
        time.sleep(0.02)
        shown = one.shown()
        if shown is not None and np.array_equal(shown[1], expected):
            return True
    return False


def stays_plain(one: FakeFilter, seconds: float = 1.5) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one.draw(PICTURE)
        time.sleep(0.02)
    return int(one.head["beat"][0]) == 0


def test_each_in_its_own_preset(
    filters: SideFilters, add: Callable[..., FakeFilter], library: PresetLibrary
) -> None:
    own, mapped, other = add("Own", "inverted"), add("Mapped"), add("Other")
    assert shows(own, INVERTED)
    assert shows(mapped, TINTED)
    assert own.text("on_air") == "Inverted"
    assert own.text("presets").split() == ["broken", "inverted", "tinted"]
    # One without a preset of its own is left alone while the source is no filter.
    assert stays_plain(other)
    filters.source_is_filter = True
    filters.on_air = ShowPreset(1, library.get("inverted"))
    assert shows(other, INVERTED)
    filters.on_air = ShowPreset(2, library.get("tinted"))
    assert shows(other, TINTED)
    # The properties go before the settings.
    mapped.head["preset"] = b"inverted"
    assert shows(mapped, INVERTED)
    filters.source_is_filter = False
    assert stays_plain(other, 2.0)


def test_bypass_and_freeze_are_for_all(
    filters: SideFilters, add: Callable[..., FakeFilter]
) -> None:
    own = add("Own", "inverted")
    assert shows(own, INVERTED)
    filters.bypass = True
    assert shows(own, PICTURE)
    filters.frozen = True
    time.sleep(0.2)
    filters.bypass = False
    assert not shows_soon(own, INVERTED)
    filters.frozen = False
    assert shows(own, INVERTED)


def shows_soon(one: FakeFilter, expected: Pixels) -> bool:
    for _ in range(20):
        one.draw(PICTURE)
        time.sleep(0.02)
    shown = one.shown()
    return shown is not None and np.array_equal(shown[1], expected)


@pytest.mark.parametrize("name", ["broken", "unknown"])
def test_a_preset_that_cannot_be_shown_is_said(
    filters: SideFilters,
    add: Callable[..., FakeFilter],
    name: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = add("Own", name)
    until = time.monotonic() + 10
    while "shown as it is" not in own.text("state"):
        own.draw(PICTURE)
        assert time.monotonic() < until
        time.sleep(0.05)
    assert own.shown() is None
    own.head["preset"] = b"inverted"
    assert shows(own, INVERTED)


def test_what_does_not_fit_is_shown_plain_and_said(
    filters: SideFilters, add: Callable[..., FakeFilter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_filters, "SIDE_FPS", 1e5)
    monkeypatch.setattr(side_filters, "_TOO_SLOW", 0.0)
    own = add("Own", "inverted")
    until = time.monotonic() + 10
    while "no time for one more filter" not in own.text("state"):
        own.draw(PICTURE)
        assert time.monotonic() < until
        time.sleep(0.01)
    assert stays_plain(own)


def test_the_source_takes_a_filter_over(
    filters: SideFilters, add: Callable[..., FakeFilter]
) -> None:
    own = add("Own", "inverted")
    assert shows(own, INVERTED)
    with ObsFilterSource("Own", SourceOptions(frame_size=SIZE)) as source:
        own.seen()
        source.open()
        own.draw(PICTURE)
        assert source.read(1.0) is not None
        assert stays_plain(own)
    assert shows(own, INVERTED)
