"""What is chosen by itself on a desktop with PipeWire."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.cli import choices
from obs_stylizer.cli.choices import Overrides, choose
from obs_stylizer.listing import Listing
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import Settings
from obs_stylizer.sinks.listing import VirtualCameraInfo
from tests.fakes.models import write_identity_model
from tests.fakes.wayland.desktop import WaylandDesktop


@pytest.fixture
def library(tmp_path: Path) -> PresetLibrary:
    write_identity_model(tmp_path / "identity.onnx")
    (tmp_path / "plain.yaml").write_text("title: plain\nmodel: ./identity.onnx\n", "utf-8")
    return PresetLibrary([tmp_path])


def test_without_a_loopback_it_is_the_camera_of_pipewire_and_the_stream(
    pipewire: WaylandDesktop, library: PresetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "list_virtual_cameras", lambda: Listing(reason="none"))
    chosen = choose(Settings(source="pattern"), Overrides(), library)
    assert [str(sink) for sink in chosen.options.sinks] == ["pipewire-camera", "http:8765"]
    told = " ".join(chosen.reasons)
    assert "chrome://flags/#enable-webrtc-pipewire-camera" in told


def test_beside_a_loopback_it_is_named(
    pipewire: WaylandDesktop, library: PresetLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = VirtualCameraInfo("/dev/video9", "obs-stylizer", "v4l2loopback")
    monkeypatch.setattr(choices, "list_virtual_cameras", lambda: Listing([camera]))
    chosen = choose(Settings(source="pattern"), Overrides(), library)
    assert [str(sink) for sink in chosen.options.sinks] == ["virtual-camera"]
    assert "--sink pipewire-camera" in " ".join(chosen.reasons)


@pytest.mark.parametrize(("text", "seconds"), [("off", None), (30, 30.0)])
def test_sleep_as_the_settings_say(
    library: PresetLibrary, text: object, seconds: float | None
) -> None:
    settings = Settings.model_validate({"source": "pattern", "sinks": ["null"], "sleep": text})
    assert choose(settings, Overrides(), library).options.sleep_seconds == seconds
    assert choose(settings, Overrides(frames=5), library).options.sleep_seconds is None
