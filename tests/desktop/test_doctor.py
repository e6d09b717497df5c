"""What devices and the doctor say of a Wayland desktop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.cli.app import run_command_line
from obs_stylizer.doctor import display, virtual_cameras
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.settings import Settings, state_folder
from tests.fakes.wayland.desktop import WaylandDesktop

Examine = Callable[[Notes, Situation], Iterator[Finding]]


def findings(examine: Examine, folder: Path, **settings: object) -> dict[str, Finding]:
    situation = Situation(
        Settings.model_validate(settings), folder / "config.yaml", None, {}, folder
    )
    return {one.name: one for one in examine(Notes("here"), situation)}


def test_the_doctor_knows_the_portals(desktop: WaylandDesktop, tmp_path: Path) -> None:
    found = findings(display.examine, tmp_path, source="screen")
    capture = found["screen capture"]
    assert capture.state is State.OK
    assert "(screens), PipeWire" in capture.seen
    assert "will ask" in capture.seen
    assert found["hotkeys"].state is State.OK
    token = state_folder() / "screen.token"
    token.parent.mkdir(parents=True, exist_ok=True)
    token.write_text("one")
    assert "remembered" in findings(display.examine, tmp_path)["screen capture"].seen
    token.unlink()


def test_the_doctor_misses_the_portal(desktop: WaylandDesktop, tmp_path: Path) -> None:
    desktop.kill("portal")
    try:
        found = findings(display.examine, tmp_path, source="screen")
        assert found["screen capture"].state is State.FAULT
        assert "no desktop portal answers (ScreenCast)" in found["screen capture"].seen
        assert "xdg-desktop-portal" in found["screen capture"].remedy
        assert found["hotkeys"].commands[0].endswith("ctl next")
    finally:
        desktop.start("portal")


def test_a_camera_needs_no_kernel_module(desktop: WaylandDesktop, tmp_path: Path) -> None:
    found = findings(virtual_cameras.examine, tmp_path)["in PipeWire"]
    assert found.state is State.OK
    assert "--sink pipewire-camera" in found.seen
    assert "chrome://flags/#enable-webrtc-pipewire-camera" in found.seen


def test_the_doctor_misses_pipewire(desktop: WaylandDesktop, tmp_path: Path) -> None:
    desktop.kill("pipewire", "wireplumber", "wlr")
    try:
        examined = findings(virtual_cameras.examine, tmp_path, sinks=["pipewire-camera"])
        found = examined["in PipeWire"]
        assert found.state is State.FAULT
        assert "systemctl --user start pipewire wireplumber" in found.remedy
        assert findings(display.examine, tmp_path)["screen capture"].state is State.WARNING
    finally:
        for name in ("pipewire", "wireplumber", "wlr"):
            desktop.start(name)


def test_devices_lists_what_the_desktop_shares(
    desktop: WaylandDesktop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["devices"]) == 0
    told = capsys.readouterr().out
    assert "a screen that you choose" in told
    assert "pipewire-camera[:NAME]" in told
    assert "Cameras of PipeWire: none; no camera is known to PipeWire" in told
