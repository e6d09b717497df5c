"""A shared screen with a real PipeWire behind a portal that does as it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.errors import (
    PipewireError,
    SinkError,
    SourceLostError,
    SourceRefusedError,
    SourceWaitingError,
)
from obs_stylizer.frames import FrameSize
from obs_stylizer.pipewire import library
from obs_stylizer.pipewire.formats import VideoFormat
from obs_stylizer.portal.screencast import RestoreToken, Shared
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.pipewire_camera import PipewireCameraSink
from obs_stylizer.sources import portal_screen
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.portal_screen import PortalScreenSource
from tests.desktop.test_camera import SIZE, Feed
from tests.fakes.portal import FakePortal, fake_portal
from tests.fakes.wayland.desktop import WaylandDesktop


@pytest.fixture
def portal(pipewire: WaylandDesktop, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePortal]:
    # What is shared here is a camera of our own.
    monkeypatch.setattr(portal_screen, "SCREEN_FORMATS", (VideoFormat.YUY2,))
    with fake_portal() as running:
        running.pipewire = pipewire.run_folder / "pipewire-0"
        yield running


@pytest.fixture
def shared(portal: FakePortal) -> Iterator[PipewireCameraSink]:
    with PipewireCameraSink() as sink:
        sink.open(SinkFormat(SIZE, 30))
        assert sink._node is not None
        portal.streams = [(sink._node.node_id, {})]
        with Feed(sink):
            yield sink


@pytest.fixture
def source(portal: FakePortal, tmp_path: Path) -> Iterator[PortalScreenSource]:
    token = RestoreToken(tmp_path / "token")
    options = SourceOptions(frame_size=SIZE, fps=30)
    with PortalScreenSource(Shared.SCREEN, None, options, token) as made:
        yield made


def read_for_ever(source: PortalScreenSource) -> None:
    while True:
        source.read(0.25)


def open_when_answered(source: PortalScreenSource) -> None:
    while True:
        try:
            source.open()
        except SourceWaitingError:
            continue
        return


def test_the_user_stops_the_sharing(
    portal: FakePortal, shared: PipewireCameraSink, source: PortalScreenSource
) -> None:
    open_when_answered(source)
    portal.close_session(portal.sessions[-1])
    with pytest.raises(SourceRefusedError, match="stopped the sharing") as caught:
        read_for_ever(source)
    assert caught.value.remedy == "to share it again: obs-stylizer ctl source screen"


def test_a_stop_that_also_takes_the_pictures_away_is_no_fault(
    portal: FakePortal, shared: PipewireCameraSink, source: PortalScreenSource
) -> None:
    open_when_answered(source)
    shared.close()
    threading.Timer(0.2, portal.close_session, (portal.sessions[-1],)).start()
    with pytest.raises(SourceRefusedError, match="stopped the sharing"):
        read_for_ever(source)


def test_pictures_that_go_without_a_word_are_a_fault(
    portal: FakePortal, shared: PipewireCameraSink, source: PortalScreenSource
) -> None:
    open_when_answered(source)
    shared.close()
    with pytest.raises(SourceLostError, match="is lost") as caught:
        read_for_ever(source)
    assert not isinstance(caught.value, SourceRefusedError)


def test_the_user_says_no(portal: FakePortal, source: PortalScreenSource) -> None:
    portal.code = 1
    with pytest.raises(SourceRefusedError, match="you did not share the screen") as caught:
        open_when_answered(source)
    assert "obs-stylizer ctl source screen" in caught.value.remedy


def test_the_dialog_is_waited_for_and_asked_once(
    portal: FakePortal, shared: PipewireCameraSink, source: PortalScreenSource
) -> None:
    portal.answers.clear()
    for _ in range(2):
        with pytest.raises(SourceWaitingError, match="choose what to share"):
            source.open()
    portal.answers.set()
    open_when_answered(source)
    assert portal.members().count("Start") == 1


def test_closing_takes_the_dialog_away(portal: FakePortal, source: PortalScreenSource) -> None:
    portal.answers.clear()
    with pytest.raises(SourceWaitingError):
        source.open()
    source.close()
    until = time.monotonic() + 5
    while "Close" not in portal.members():
        assert time.monotonic() < until
        time.sleep(0.02)
    portal.answers.set()


def test_a_desktop_that_shares_nothing(portal: FakePortal, source: PortalScreenSource) -> None:
    portal.streams = []
    with pytest.raises(SourceLostError, match="shared nothing"):
        open_when_answered(source)


def test_a_node_that_is_not_there(portal: FakePortal, source: PortalScreenSource) -> None:
    portal.streams = [(4711, {})]
    with pytest.raises(SourceLostError, match="gives no pictures"):
        open_when_answered(source)


def test_the_library_is_missing(
    portal: FakePortal, source: PortalScreenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "NAME", "libpipewire-of-no-machine.so.0")
    library.load.cache_clear()
    try:
        with pytest.raises(PipewireError, match="is not here") as caught:
            library.load()
        assert "apt install libpipewire-0.3-0" in caught.value.remedy
        with pytest.raises(SinkError, match="is not here"):
            PipewireCameraSink().open(SinkFormat(FrameSize(64, 48), 30))
        with pytest.raises(SourceLostError, match="is not here"):
            open_when_answered(source)
    finally:
        library.load.cache_clear()


def test_the_socket_of_a_portal_that_leads_nowhere(
    portal: FakePortal, source: PortalScreenSource
) -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    portal.line = theirs
    with pytest.raises(SourceLostError):
        open_when_answered(source)
    theirs.close()
