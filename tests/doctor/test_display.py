"""What the display server allows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from obs_stylizer.doctor import display
from obs_stylizer.doctor.findings import Notes, State
from obs_stylizer.doctor.situation import Situation
from tests.fakes.display import Display

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="display servers are Linux's")


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)


def test_no_display_matters_only_to_who_wants_the_screen(
    notes: Notes, situation: Callable[..., Situation]
) -> None:
    (found,) = display.examine(notes, situation())
    assert (found.state, found.seen[:4]) == (State.OK, "none")
    (found,) = display.examine(notes, situation(source="screen:1"))
    assert found.state is State.FAULT


def test_wayland_without_a_session_bus(
    notes: Notes,
    situation: Callable[..., Situation],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    (found,) = display.examine(notes, situation())
    assert found.state is State.WARNING
    assert "no session bus" in found.seen
    for source in ("screen", "window"):
        (found,) = display.examine(notes, situation(source=source))
        assert found.state is State.FAULT


def test_a_display_that_does_not_answer(
    notes: Notes, situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    (found,) = display.examine(notes, situation())
    assert found.state is State.WARNING
    assert found.seen.startswith("X11: ")


@pytest.mark.screen
def test_a_real_screen(
    notes: Notes,
    situation: Callable[..., Situation],
    request: pytest.FixtureRequest,
) -> None:
    screen: Display = request.getfixturevalue("x_display")
    (found,) = display.examine(notes, situation())
    assert found.state is State.OK
    assert f"{screen.width}x{screen.height}" in found.seen
