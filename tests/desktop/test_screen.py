"""A real screen through real portals: its pixels, its end, and its return."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import SourceError, SourceLostError, SourceWaitingError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.portal.screencast import RestoreToken, Shared
from obs_stylizer.sources.base import Source, SourceInfo, SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.portal_screen import PortalScreenSource
from obs_stylizer.sources.spec import Region, SourceSpec
from tests.desktop.conftest import Painter
from tests.fakes.wayland.desktop import WaylandDesktop
from tests.fakes.wayland.painter import GREEN, RED, milliseconds_now, read_milliseconds

OPTIONS = SourceOptions(fps=30)


@pytest.fixture
def token(tmp_path: Path) -> RestoreToken:
    return RestoreToken(tmp_path / "screen.token")


@pytest.fixture
def source(desktop: WaylandDesktop, token: RestoreToken) -> Iterator[PortalScreenSource]:
    with PortalScreenSource(Shared.SCREEN, None, OPTIONS, token) as made:
        yield made


def frame_until(source: PortalScreenSource, wanted: Callable[[Frame], bool]) -> Frame:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        frame = source.read(0.25)
        if frame is not None and wanted(frame):
            return frame
    raise AssertionError("no such frame came")


def is_painted(frame: Frame) -> bool:
    height, width, _ = frame.pixels.shape
    shown = frame.pixels[height // 2, [width // 4, 3 * width // 4]].astype(int)
    return bool(np.abs(shown - (RED, GREEN)).max() < 5)


def open_at_last(source: PortalScreenSource) -> SourceInfo:
    """Open it as the daemon does: again and again while it is lost, or waits for an answer."""
    until = time.monotonic() + 20
    while True:
        try:
            return source.open()
        except SourceLostError:
            assert time.monotonic() < until
            time.sleep(0.1)


def open_when_answered(source: Source) -> None:
    while True:
        try:
            source.open()
        except SourceWaitingError:
            continue
        return


def test_what_is_on_the_screen_is_seen(source: PortalScreenSource, painter: Painter) -> None:
    painter.start()
    told = open_at_last(source)
    assert told.frame_size == FrameSize(1280, 720)
    assert "the desktop remembers the choice" in told.detail
    frame = frame_until(source, is_painted)
    later = frame_until(source, lambda one: read_milliseconds(one.pixels) > 0)
    assert later.sequence > frame.sequence
    assert later.captured_at >= frame.captured_at
    shown = read_milliseconds(frame_until(source, is_painted).pixels)
    assert 0 <= milliseconds_now() - shown < 2000


def test_a_screen_that_stands_still_is_repeated(source: PortalScreenSource) -> None:
    open_at_last(source)
    first = frame_until(source, lambda _: True)
    again = frame_until(source, lambda _: True)
    assert again.sequence == first.sequence + 1
    assert again.captured_at > first.captured_at


def test_the_next_time_nobody_is_asked(
    desktop: WaylandDesktop, source: PortalScreenSource, token: RestoreToken, tmp_path: Path
) -> None:
    open_at_last(source)
    assert token.read()
    assert (tmp_path / "screen.token").stat().st_mode & 0o777 == 0o600
    source.close()
    open_at_last(source)
    assert frame_until(source, lambda _: True)


def test_a_region(desktop: WaylandDesktop, token: RestoreToken, painter: Painter) -> None:
    painter.start()
    region = Region(600, 300, 80, 40)
    with PortalScreenSource(Shared.SCREEN, region, OPTIONS, token) as source:
        assert open_at_last(source).frame_size == FrameSize(80, 40)
        frame = frame_until(source, is_painted)
        assert frame.size == FrameSize(80, 40)


def test_a_region_outside_names_the_size_of_the_screen(
    desktop: WaylandDesktop, token: RestoreToken
) -> None:
    with (
        PortalScreenSource(Shared.SCREEN, Region(1200, 0, 100, 50), OPTIONS, token) as source,
        pytest.raises(SourceError, match="1280x720"),
    ):
        open_at_last(source)


def test_a_screen_that_changes_its_size(
    desktop: WaylandDesktop, source: PortalScreenSource, painter: Painter
) -> None:
    painter.start()
    open_at_last(source)
    frame_until(source, is_painted)
    try:
        sway(desktop, "output HEADLESS-1 mode 640x480@60Hz")
        frame_until(source, lambda one: one.size == FrameSize(640, 480))
    finally:
        sway(desktop, "output HEADLESS-1 mode 1280x720@60Hz")
    frame_until(source, lambda one: one.size == FrameSize(1280, 720))


def test_a_window_where_only_screens_are_shared(desktop: WaylandDesktop) -> None:
    with (
        make_source(SourceSpec.parse("window"), OPTIONS) as source,
        pytest.raises(SourceLostError, match="no windows"),
    ):
        open_when_answered(source)


def test_a_screen_by_number_is_explained(desktop: WaylandDesktop) -> None:
    with pytest.raises(SourceError, match="it is you who chooses"):
        make_source(SourceSpec.parse("screen:1"), OPTIONS)


def test_an_unknown_choice_brings_the_question_again(
    desktop: WaylandDesktop, token: RestoreToken
) -> None:
    token.write("00000000-0000-0000-0000-000000000000")
    with PortalScreenSource(Shared.SCREEN, None, OPTIONS, token) as source:
        open_at_last(source)
    assert token.read() not in ("", "00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("part", ["portal", "pipewire", "sway"])
def test_a_part_of_the_desktop_that_ends_and_comes_back(
    desktop: WaylandDesktop, source: PortalScreenSource, painter: Painter, part: str
) -> None:
    painter.start()
    open_at_last(source)
    frame_until(source, is_painted)
    # What systemd would start again with it.
    parts = {
        "portal": ["portal"],
        "pipewire": ["pipewire", "wireplumber", "wlr"],
        "sway": ["sway", "proxy", "wlr"],
    }[part]
    before = open_descriptors()
    desktop.kill(*parts)
    painter.end()
    with pytest.raises(SourceLostError):
        frame_until(source, lambda _: False)
    for one in parts:
        desktop.start(one)
    os.environ.update(desktop.environment)
    painter.start()
    open_at_last(source)
    frame_until(source, is_painted)
    assert open_descriptors() == before


def test_closing_while_another_thread_reads(source: PortalScreenSource) -> None:
    open_at_last(source)
    failed: list[BaseException] = []

    def read() -> None:
        try:
            while True:
                source.read(0.25)
        except SourceError as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.2)
    source.close()
    reader.join(5)
    assert "not open" in str(failed[0])


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def sway(desktop: WaylandDesktop, command: str) -> None:
    environment = {**os.environ, **desktop.environment}
    subprocess.run(["swaymsg", command], env=environment, check=True, capture_output=True)
