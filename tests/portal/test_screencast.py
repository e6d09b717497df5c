"""Asking the portal for a screen, on a bus of its own with a portal that does as it is told."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.errors import PortalCancelledError, PortalError
from obs_stylizer.portal.bus import PortalBus
from obs_stylizer.portal.screencast import Cast, RestoreToken, Shared, open_cast
from tests.fakes.portal import FakePortal


@pytest.fixture
def bus(bus_address: str) -> Iterator[PortalBus]:
    with PortalBus() as opened:
        yield opened


@pytest.fixture
def token(tmp_path: Path) -> RestoreToken:
    return RestoreToken(tmp_path / "state" / "screen.token")


def cast_of(bus: PortalBus, token: RestoreToken, shared: Shared = Shared.SCREEN) -> Cast:
    cast = open_cast(bus, shared, token, lambda: False)
    os.close(cast.descriptor)
    return cast


def test_what_the_user_chose_is_told(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.streams = [(7, {}), (42, {"pipewire-serial": ("t", 1234)})]
    cast = cast_of(bus, token)
    # KDE tells of more than one, and means the last.
    assert (cast.node, cast.serial, cast.remembered) == (42, "1234", True)
    assert cast.session == portal.sessions[0]
    options = portal.options_of("SelectSources")
    assert (options["types"], options["cursor_mode"], options["persist_mode"]) == (1, 2, 2)


def test_the_next_time_the_choice_is_given_back(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    cast_of(bus, token)
    assert "restore_token" not in portal.options_of("SelectSources")
    portal.token = "token-2"
    cast_of(bus, token)
    assert portal.options_of("SelectSources")["restore_token"] == "token-1"
    assert token.read() == "token-2"


def test_only_its_user_can_read_the_token(
    portal: FakePortal, bus: PortalBus, token: RestoreToken, tmp_path: Path
) -> None:
    cast_of(bus, token)
    path = tmp_path / "state" / "screen.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_desktop_that_remembers_nothing_is_not_given_an_old_choice(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    token.write("old")
    portal.token = ""
    assert not cast_of(bus, token).remembered
    assert token.read() == ""


def test_an_old_portal_knows_neither_tokens_nor_cursors(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.properties["ScreenCast"] = {"version": 1, "AvailableSourceTypes": 1}
    portal.token = ""
    cast_of(bus, token)
    options = portal.options_of("SelectSources")
    assert not options.keys() & {"persist_mode", "restore_token", "cursor_mode"}


def test_a_no_is_told_from_a_fault(portal: FakePortal, bus: PortalBus, token: RestoreToken) -> None:
    portal.code = 1
    with pytest.raises(PortalCancelledError):
        cast_of(bus, token)
    portal.code = 2
    with pytest.raises(PortalError, match="code 2") as caught:
        cast_of(bus, token)
    assert not isinstance(caught.value, PortalCancelledError)
    assert portal.closed == portal.sessions


def test_a_window_where_only_screens_are_shared(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.properties["ScreenCast"]["AvailableSourceTypes"] = 1
    with pytest.raises(PortalError, match="shares screens, no windows"):
        cast_of(bus, token, Shared.WINDOW)


def test_a_dialog_that_is_not_waited_for_is_taken_away(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.answers.clear()
    given_up = threading.Event()
    threading.Timer(0.3, given_up.set).start()
    with pytest.raises(PortalCancelledError):
        open_cast(bus, Shared.SCREEN, token, given_up.is_set)
    # Close of the request, then of the session.
    assert portal.members()[-2:] == ["Close", "Close"]
    portal.answers.set()


def test_a_portal_that_ends_while_the_dialog_is_open(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.answers.clear()
    threading.Timer(0.3, portal.end).start()
    with pytest.raises(PortalError, match="went away"):
        open_cast(bus, Shared.SCREEN, token, lambda: False)
    portal.answers.set()


def test_no_portal_names_the_packages(bus: PortalBus, token: RestoreToken) -> None:
    with pytest.raises(PortalError, match=r"no desktop portal answers \(ScreenCast\)") as caught:
        cast_of(bus, token)
    assert "xdg-desktop-portal" in caught.value.remedy


def test_a_portal_without_a_back_end_is_no_portal(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    del portal.properties["ScreenCast"]
    with pytest.raises(PortalError, match=r"no desktop portal answers \(ScreenCast\)") as caught:
        cast_of(bus, token)
    assert "-gnome" in caught.value.remedy


def test_no_session_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(PortalError, match="no session bus") as caught:
        PortalBus()
    assert "desktop session" in caught.value.remedy
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "no address at all")
    with pytest.raises(PortalError, match="no session bus"):
        PortalBus()


def test_the_bus_is_found_where_systemd_puts_it(
    portal: FakePortal, bus_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(Path(bus_address.removeprefix("unix:path=")).parent)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    with PortalBus() as found:
        assert found.portal_property("ScreenCast", "version") == 5


def test_the_end_of_a_session_is_heard(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    cast = cast_of(bus, token)
    assert bus.next_signal() is None
    portal.close_session(cast.session)
    until = time.monotonic() + 5
    while (signal := bus.next_signal(0.1)) is None:
        assert time.monotonic() < until
    assert signal[0] == "Closed"


def test_a_bus_that_ends_is_an_error_like_others(
    portal: FakePortal, bus: PortalBus, token: RestoreToken
) -> None:
    portal.end()
    bus.close()
    with pytest.raises(PortalError):
        cast_of(bus, token)


def test_a_token_that_cannot_be_kept_is_no_reason_not_to_share(
    portal: FakePortal, bus: PortalBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    cast_of(bus, RestoreToken(tmp_path / "file" / "screen.token"))
    assert "ask again" in caplog.text
