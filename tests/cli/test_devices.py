from __future__ import annotations

import json

import pytest

from obs_stylizer.cli.app import run_command_line
from obs_stylizer.inference.session import Provider
from obs_stylizer.listing import Listing
from obs_stylizer.sinks import listing as sinks
from obs_stylizer.sinks.listing import VirtualCameraInfo
from obs_stylizer.sources import listing as sources
from obs_stylizer.sources.device_info import CameraInfo, GeneratorInfo, ScreenInfo


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one of everything."""
    camera = CameraInfo(2, "HD Webcam [046d]", "/dev/video2", 200, 2, False)
    screen = ScreenInfo(0, "DP-1", 0, 0, 2560, 1440, True)
    virtual = VirtualCameraInfo("/dev/video9", "obs-stylizer", "v4l2loopback", "another daemon")
    monkeypatch.setattr(sources, "list_cameras", lambda: Listing([camera]))
    monkeypatch.setattr(sources, "list_screens", lambda: Listing([screen]))
    monkeypatch.setattr(sinks, "list_virtual_cameras", lambda: Listing([virtual]))
    clouds = GeneratorInfo("clouds", "Drifting clouds", 128, 128)
    monkeypatch.setattr(sources, "list_generators", lambda: Listing([clouds]))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing but its processor."""
    monkeypatch.setattr(sources, "list_cameras", lambda: Listing(reason="no camera is plugged in"))
    monkeypatch.setattr(sources, "list_screens", lambda: Listing(reason="no display"))
    monkeypatch.setattr(sinks, "list_virtual_cameras", lambda: Listing(reason="no driver"))
    monkeypatch.setattr(sources, "list_generators", lambda: Listing(reason="none is of noise"))


def test_everything_is_listed_as_it_is_written_after_an_option(
    full: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["devices"]) == 0
    out = capsys.readouterr().out
    for text in (
        "camera:2",
        "HD Webcam [046d]",
        "screen:0",
        "2560x1440",
        "virtual-camera:/dev/video9",
        "another daemon",
        "generator:clouds",
        "Drifting clouds",
        "openvino",
    ):
        assert text in out
    assert "coreml: Core ML exists on macOS only" in out


def test_what_is_not_there_says_why(bare: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["devices"]) == 0
    out = capsys.readouterr().out
    for text in (
        "Cameras: none; no camera is plugged in",
        "Screens: none; no display",
        "Virtual cameras: none; no driver",
        "Generators of pictures: none; none is of noise",
    ):
        assert text in out


def test_json_is_nothing_but_json(full: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["devices", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cameras"][0]["name"] == "HD Webcam [046d]"
    assert told["screens"][0]["width"] == 2560
    assert told["generators"] == [
        {"name": "clouds", "title": "Drifting clouds", "width": 128, "height": 128}
    ]
    assert told["virtual_cameras"][0]["in_use"] == "another daemon"
    providers = {entry["provider"]: entry for entry in told["providers"]}
    assert set(providers) == set(Provider) - {Provider.AUTO}
    assert providers["cpu"]["available"]
    assert providers["cpu"]["adapters"][0]["kind"] == "cpu"
    for entry in providers.values():
        assert entry["available"] or entry["missing"]
