"""The screen, under an X server that nobody sees."""

from __future__ import annotations

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceError, SourceLostError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.listing import list_screens
from obs_stylizer.sources.screen import ScreenSource
from obs_stylizer.sources.spec import Region
from tests.fakes.display import Display

on_screen = pytest.mark.screen


def options() -> SourceOptions:
    return SourceOptions(paced=False, clock=ManualClock())


def frame_of(source: ScreenSource) -> Frame:
    frame = source.read(1)
    assert frame is not None
    return frame


@on_screen
def test_what_is_on_the_screen_is_seen(x_display: Display) -> None:
    if not x_display.fill("#ff8000"):
        pytest.skip("xsetroot is not installed (apt install x11-xserver-utils)")
    with ScreenSource(None, None, options()) as source:
        told = source.open()
        assert told.frame_size == FrameSize(320, 240)
        assert frame_of(source).pixels[100, 100].tolist() == [255, 128, 0]
        x_display.fill("#0040ff")
        assert frame_of(source).pixels[100, 100].tolist() == [0, 64, 255]


@on_screen
@pytest.mark.parametrize("region", [Region(10, 20, 100, 50), Region(0, 0, 33, 17)])
def test_a_region(x_display: Display, region: Region) -> None:
    with ScreenSource(0, region, options()) as source:
        told = source.open()
        assert told.frame_size == FrameSize(region.width, region.height)
        assert frame_of(source).size == told.frame_size
        assert str(region) in told.detail


@on_screen
def test_a_region_outside_names_the_size_of_the_screen(x_display: Display) -> None:
    with pytest.raises(SourceError, match="320x240"):
        ScreenSource(0, Region(300, 0, 100, 50), options()).open()


@on_screen
def test_a_screen_that_is_not_there(x_display: Display) -> None:
    with pytest.raises(SourceLostError, match="there is no screen 3") as caught:
        ScreenSource(3, None, options()).open()
    assert "0 (320x240)" in caught.value.remedy


@on_screen
def test_a_screen_that_becomes_smaller(x_display: Display) -> None:
    with ScreenSource(0, None, options()) as source:
        source.open()
        assert frame_of(source).size == FrameSize(320, 240)
        if not x_display.resize(256, 192):
            pytest.skip("xrandr is not installed (apt install x11-xserver-utils)")
        assert frame_of(source).size == FrameSize(256, 192)


@on_screen
def test_a_screen_that_becomes_larger_is_seen_within_a_second(x_display: Display) -> None:
    if not x_display.resize(256, 192):
        pytest.skip("xrandr is not installed (apt install x11-xserver-utils)")
    clock = ManualClock()
    with ScreenSource(0, None, SourceOptions(paced=False, clock=clock)) as source:
        assert source.open().frame_size == FrameSize(256, 192)
        x_display.restore()
        clock.advance(1.1)
        assert frame_of(source).size == FrameSize(320, 240)


@on_screen
def test_a_region_that_no_longer_fits(x_display: Display) -> None:
    with ScreenSource(0, Region(200, 150, 120, 90), options()) as source:
        source.open()
        if not x_display.resize(256, 192):
            pytest.skip("xrandr is not installed (apt install x11-xserver-utils)")
        with pytest.raises(SourceLostError, match="256x192"):
            source.read(1)


@on_screen
def test_the_display_ends(x_display: Display) -> None:
    with ScreenSource(0, None, options()) as source:
        source.open()
        x_display.process.terminate()
        x_display.process.wait(10)
        with pytest.raises(SourceLostError):
            source.read(1)


@on_screen
def test_the_list_of_screens(x_display: Display) -> None:
    (screen,) = list_screens()
    assert (screen.index, screen.width, screen.height) == (0, 320, 240)


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SourceError, match="no display") as caught:
        ScreenSource(None, None, options()).open()
    assert not isinstance(caught.value, SourceLostError)
    assert "DISPLAY" in caught.value.remedy
    screens = list_screens()
    assert screens == []
    assert "no display" in screens.reason


def test_a_display_that_does_not_answer_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for variable in ("WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DISPLAY", ":9876")
    with pytest.raises(SourceLostError, match=":9876"):
        ScreenSource(None, None, options()).open()


def test_wayland(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_SESSION_TYPE", "wayland")
    with pytest.raises(SourceError, match="Wayland") as caught:
        ScreenSource(None, None, options()).open()
    assert caught.value.remedy == "write screen, or window"
