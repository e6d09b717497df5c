"""The scene map is saved into the user's own settings; all else in them stays as it was."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from obs_stylizer.control.obs.obs_control import ObsControl, ObsState
from obs_stylizer.errors import SettingsError, UsageError
from obs_stylizer.settings import ObsSettings, ScenePreset, load_settings
from obs_stylizer.web.scene_map_settings import SceneMapSettings
from obs_stylizer.web.settings_file import change_section

TEXT = """\
# My settings. Do not touch.
size: 1280x720   # as OBS has it
sinks:
    - virtual-camera
    - http

obs:
    port: 4455
    password: "o'hara #1"  # not secret
    # which scene brings what
    scenes:
        Talk: ink            # the usual
        "Pause: 5 min": leave
        Game: {preset: great-wave, strength: 0.5}
    audio_inputs: [Mic]  # in step
fps: 30
"""


_STATE = ObsState(connected=True, program="Talk", scenes=("Talk", "Game"))


@dataclass
class FollowedObs:
    """The OBS control surface as far as the panel knows it."""

    used: ObsSettings | None = None
    state: ObsState = _STATE

    def use(self, settings: ObsSettings) -> None:
        self.used = settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(TEXT, "utf-8")
    path.chmod(0o640)
    return path


def scene_map_api_for(config: Path) -> tuple[SceneMapSettings, FollowedObs]:
    settings = load_settings(config).obs if config.exists() else ObsSettings()
    scene_map_api, obs = SceneMapSettings(settings, config), FollowedObs()
    scene_map_api.control = obs  # type: ignore[assignment]
    return scene_map_api, obs


def test_the_obs_control_has_what_the_panel_needs() -> None:
    assert isinstance(ObsControl.state, property)
    assert callable(ObsControl.use)


def test_what_the_panel_shows(config: Path) -> None:
    scene_map_api, _ = scene_map_api_for(config)
    shown = scene_map_api.describe()
    assert shown["enabled"] is True
    assert shown["state"]["program"] == "Talk"
    assert "scenes" not in shown["state"]
    assert shown["scenes"] == ["Talk", "Game"]
    assert shown["scene_map"] == {
        "Talk": {"preset": "ink"},
        "Pause: 5 min": {"preset": ""},
        "Game": {"preset": "great-wave", "strength": 0.5},
    }
    assert shown["default"] == {"preset": ""}


def test_only_what_changed_is_another_line(config: Path) -> None:
    scene_map_api, obs = scene_map_api_for(config)
    scene_map = scene_map_api.describe()["scene_map"]
    scene_map["Game"] = {"preset": "ink", "crossfade_ms": 200}
    del scene_map["Pause: 5 min"]
    scene_map["Café “Süd”"] = {"preset": "plain"}
    scene_map_api.save({"scene_map": scene_map, "default": {"preset": "plain"}})
    before, after = TEXT.splitlines(), config.read_text("utf-8").splitlines()
    assert [line for line in after if line not in before] == [
        "        Game:",
        "            preset: ink",
        "            crossfade_ms: 200",
        "        Café “Süd”: plain",
        "    default: plain",
    ]
    assert [line for line in before if line not in after] == [
        '        "Pause: 5 min": leave',
        "        Game: {preset: great-wave, strength: 0.5}",
    ]
    assert obs.used is not None
    assert obs.used.scenes["Game"].crossfade_ms == 200
    assert load_settings(config).obs == obs.used


def test_every_name_is_read_back_as_it_was(config: Path) -> None:
    odd = (
        "on",
        "Yes",
        "n",
        "1",
        "0x1f",
        "1:30",
        "1_000",
        "2026-11-21",
        "2026-13-45",
        "~",
        "null",
        "=",
        "a: b",
    )
    names = ("leave", "plain", *odd)
    scene_map = {name: {"preset": name} for name in names}
    scene_map |= {f"{name}!": {"preset": name, "strength": 0.5} for name in names}
    scene_map_api, obs = scene_map_api_for(config)
    for default in names:
        scene_map_api.save({"scene_map": scene_map, "default": {"preset": default}})
        settings = load_settings(config).obs
        assert settings == obs.used
        assert settings.default == ScenePreset(preset=default)
    assert settings.scenes == {
        name: ScenePreset(**scene_preset) for name, scene_preset in scene_map.items()
    }
    text = config.read_text("utf-8")
    scene_map_api.save({"scene_map": scene_map, "default": {"preset": default}})
    assert config.read_text("utf-8") == text
    assert "\n        plain: plain\n" in text, "quotes only where they are needed"


def test_saving_what_is_there_changes_nothing(config: Path) -> None:
    scene_map_api, _ = scene_map_api_for(config)
    shown = scene_map_api.describe()
    scene_map_api.save({"scene_map": shown["scene_map"], "default": shown["default"]})
    assert config.read_text("utf-8") == TEXT


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_permissions_stay_and_a_new_file_is_private(config: Path, tmp_path: Path) -> None:
    scene_map_api_for(config)[0].save({"scene_map": {}})
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    fresh = tmp_path / "inner" / "config.yaml"
    scene_map_api_for(fresh)[0].save({"scene_map": {"Talk": {"preset": "ink"}}})
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o600
    assert fresh.read_text("utf-8").split() == ["obs:", "scenes:", "Talk:", "ink"]


def test_a_linked_file_stays_linked(config: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(config)
    scene_map_api_for(link)[0].save({"scene_map": {"Talk": {"preset": "plain"}}})
    assert link.is_symlink()
    assert load_settings(config).obs.scenes["Talk"].preset == "plain"


def test_a_file_of_comments_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("# nothing yet\n", "utf-8")
    scene_map_api_for(path)[0].save({"scene_map": {"Talk": {"preset": "ink"}}})
    assert path.read_text("utf-8").startswith("# nothing yet\n")
    assert load_settings(path).obs.scenes["Talk"].preset == "ink"


@pytest.mark.parametrize(
    "scene_map",
    [
        {"Talk": {"preset": "ink", "strength": 3}},
        {"Talk": {"preset": "ink", "speed": 3}},
        {"Talk": 7},
        {"Talk": ["ink"]},
    ],
)
def test_a_wrong_map_is_refused_and_nothing_changes(
    config: Path, scene_map: dict[str, object]
) -> None:
    scene_map_api, obs = scene_map_api_for(config)
    with pytest.raises(UsageError, match=r"the scene map: scenes\.Talk"):
        scene_map_api.save({"scene_map": scene_map})
    assert config.read_text("utf-8") == TEXT
    assert obs.used is None


def test_what_cannot_be_saved_changes_nothing(config: Path, tmp_path: Path) -> None:
    scene_map_api, obs = scene_map_api_for(config)
    config.write_text(TEXT + "colour: red\n", "utf-8")
    with pytest.raises(SettingsError, match=r"colour: is no known key"):
        scene_map_api.save({"scene_map": {}})
    config.write_text("obs: [1,\n", "utf-8")
    with pytest.raises(SettingsError, match=r"config\.yaml:2: expected the node"):
        scene_map_api.save({"scene_map": {}})
    config.write_text("- a\n", "utf-8")
    with pytest.raises(SettingsError, match="key: value"):
        scene_map_api.save({"scene_map": {}})
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be"):
        change_section(tmp_path / "file" / "config.yaml", "obs", lambda _: None)
    assert obs.used is None
    assert config.read_text("utf-8") == "- a\n"
    assert not list(tmp_path.glob(".config*"))


def test_what_was_saved_is_read_back_whatever_it_says(config: Path) -> None:
    odd = ["é\x85x", "a\u2028b", "1e5", "0o7", "on", "2025-02-30", "2025-02-03", "<<", "a #b", "'"]
    config.write_text(TEXT.replace("Talk: ink", "2025-02-31: ink"), "utf-8")
    scene_map_api, obs = scene_map_api_for(config)
    scene_map = {name: {"preset": other} for name, other in zip(odd, odd[::-1], strict=True)}
    scene_map_api.save({"scene_map": scene_map})
    assert load_settings(config).obs == obs.used
    assert obs.used is not None
    assert {name: {"preset": scene.preset} for name, scene in obs.used.scenes.items()} == scene_map


@pytest.mark.parametrize("text", ["obs: &x {a: *x}\n", "obs: " + "[" * 3000, "a: !!set {b}\n"])
def test_a_file_that_is_no_settings_is_left_as_it_is(config: Path, text: str) -> None:
    config.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"config\.yaml:1: "):
        change_section(config, "obs", lambda _: None)
    assert config.read_text("utf-8") == text
