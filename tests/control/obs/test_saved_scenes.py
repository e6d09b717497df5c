"""The scene map goes into the settings, and nothing else in them changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.control.obs.for_panel import ObsForPanel
from obs_stylizer.control.obs.saved_scenes import as_written, read_scene_map, save_scenes
from obs_stylizer.errors import SettingsError
from obs_stylizer.settings import SceneLook, load_settings

BEFORE = """\
# my file
source: camera:Logitech BRIO   # the good one
sinks: [virtual-camera, "http:8765"]
obs:
  password: 'abc: "x"'   # secret
  scenes:
    Gaming: great-wave   # nice
    Break: {preset: scream, strength: 0.5}
  port: 4460

# about fps
fps: 30
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(BEFORE, "utf-8")
    path.chmod(0o600)
    return path


def test_only_the_map_is_changed(config: Path) -> None:
    old = load_settings(config)
    scenes = {
        "Gaming": SceneLook(preset="ink"),
        "on": SceneLook(preset="leave", crossfade_ms=0),
        "1": SceneLook(),
        'Ta"lk: ü #1': SceneLook(preset="wave", strength=0.5),
    }
    save_scenes(config, scenes)
    new = load_settings(config)
    assert new.obs.scenes == scenes
    assert new.obs.model_copy(update={"scenes": {}}) == old.obs.model_copy(update={"scenes": {}})
    assert new.model_copy(update={"obs": old.obs}) == old
    text = config.read_text("utf-8")
    for comment in ("# my file", "# the good one", "# secret", "# about fps"):
        assert comment in text
    assert config.stat().st_mode & 0o777 == 0o600
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "fps: 25\n", "obs: {}\n"])
def test_map_goes_into_a_file_without_one(text: str | None, tmp_path: Path) -> None:
    config = tmp_path / "folder" / "config.yaml"
    if text is not None:
        config.parent.mkdir()
        config.write_text(text, "utf-8")
    save_scenes(config, {"A": SceneLook(preset="wave")})
    assert load_settings(config).obs.scenes == {"A": SceneLook(preset="wave")}
    assert ("fps" in (text or "")) == (load_settings(config).fps == 25)


@pytest.mark.parametrize("text", ["obs: [\n", "fsp: 3\n", "obs: 3\n", "- a\n"])
def test_broken_file_is_left_as_it_is(text: str, config: Path) -> None:
    config.write_text(text, "utf-8")
    with pytest.raises(SettingsError, match=r"config\.yaml"):
        save_scenes(config, {})
    assert config.read_text("utf-8") == text


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("no folder")
    with pytest.raises(SettingsError, match=r"cannot be (read|written)"):
        save_scenes(tmp_path / "folder" / "config.yaml", {})


@pytest.mark.parametrize(
    "look",
    [
        SceneLook(),
        SceneLook(preset="wave"),
        SceneLook(preset="leave"),
        SceneLook(strength=0.0),
        SceneLook(preset="wave", strength=1.0, crossfade_ms=0.0),
    ],
)
def test_what_is_written_is_read_as_the_same(look: SceneLook) -> None:
    assert read_scene_map({"A": as_written(look)}) == {"A": look}


def test_panel_saves_a_map(config: Path) -> None:
    panel = ObsForPanel(load_settings(config).obs, config)
    assert panel.scene_map() == {
        "Gaming": "great-wave",
        "Break": {"preset": "scream", "strength": 0.5},
    }
    with pytest.raises(SettingsError, match=r"scenes.A.strength: .* less than or equal to 1"):
        panel.save_scene_map({"A": {"preset": "ink", "strength": 7}})
    assert config.read_text("utf-8") == BEFORE
    panel.save_scene_map({"A": "ink", "B": "leave"})
    assert panel.scene_map() == {"A": "ink", "B": "leave"}
    assert load_settings(config).obs.scenes == {"A": SceneLook(preset="ink"), "B": SceneLook()}
    assert panel.state()["enabled"] is True
    assert panel.scenes() == ()
    assert "abc" not in str(panel.state())
