"""``obs-stylizer obs setup --filter`` with a real OBS Studio, running and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.cli.app import run_command_line
from obs_stylizer.cli.obs import filter_script_file
from obs_stylizer.control.obs import filter_setup
from tests.cli.test_obs import ask
from tests.fakes import display, real_obs
from tests.fakes.real_obs import LABEL, SCENES, RealObs


@pytest.fixture
def obs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealObs]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    monkeypatch.setenv("COLUMNS", "200")
    with display.start(1280, 800) as screen:
        made = RealObs(tmp_path / "home", screen.name)
        made.configure()
        monkeypatch.setenv("XDG_CONFIG_HOME", str(made.home))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(made.home / "run"))
        # Another OBS on the machine of whoever runs the tests is none of theirs.
        monkeypatch.setattr(filter_setup, "runs_here", lambda: made.process is not None)
        yield made
        made.end()


@pytest.mark.obs
def test_script_and_filter_are_put_in_once(
    obs: RealObs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"obs:\n  port: {obs.port}\n  password: {obs.password}\n", "utf-8")
    given = ["--config", str(config)]
    setup = ["obs", "setup", *given, "--filter"]
    assert run_command_line([*setup, "Nobody", "--yes"]) == 1
    assert "OBS has no source “Nobody”" in capsys.readouterr().err
    # Nobody is there to be asked.
    assert run_command_line([*setup, LABEL]) == 2
    out = capsys.readouterr().out
    assert f"add the script {filter_script_file()}" in out
    assert f"put the filter “obs-stylizer” on “{LABEL}”" in out
    collection = obs.home / "obs-studio" / "basic" / "scenes" / "Test.json"
    before = collection.read_text("utf-8")
    assert filter_setup.FILTER_KIND not in before
    assert run_command_line([*setup, LABEL, "--yes"]) == 0
    kept = collection.with_suffix(".before-obs-stylizer.json.bak")
    assert kept.read_text("utf-8") == before
    assert str(kept) in capsys.readouterr().out
    assert run_command_line([*setup, LABEL, "--yes"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    obs.start()
    filters = ask(obs, "GetSourceFilterList", sourceName=LABEL)["filters"]
    assert [(one["filterKind"], one["filterEnabled"]) for one in filters] == [
        (filter_setup.FILTER_KIND, True)
    ]
    # A scene, while OBS runs, has one now and not twice.
    for expected in ("put the filter", "nothing to do"):
        assert run_command_line([*setup, SCENES[0], "--yes"]) == 0
        assert expected in capsys.readouterr().out
    assert run_command_line(["obs", "status", *given]) == 0
    assert "OBS filter: its script is loaded" in capsys.readouterr().out


@pytest.mark.obs
def test_an_obs_without_the_script_is_told_where_it_is(
    obs: RealObs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"obs:\n  port: {obs.port}\n  password: {obs.password}\n", "utf-8")
    obs.start()
    setup = ["obs", "setup", "--config", str(config), "--yes", "--filter", LABEL]
    assert run_command_line(setup) == 1
    said = capsys.readouterr().err
    assert f"Tools, Scripts, +, choose {filter_script_file()}" in said
    assert filter_script_file().is_file()
    assert run_command_line(["obs", "status", "--config", str(config)]) == 0
    assert "OBS filter: not loaded" in capsys.readouterr().out


def test_a_broken_collection_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(filter_setup, "runs_here", lambda: False)
    config = tmp_path / "config.yaml"
    config.write_text(f"obs: {{port: {real_obs.free_port()}}}\n", "utf-8")
    setup = ["obs", "setup", "--config", str(config), "--yes", "--filter", "Camera"]
    assert run_command_line(setup) == 1
    assert "no scene collection" in capsys.readouterr().err
    folder = tmp_path / "obs-studio"
    (folder / "basic" / "scenes").mkdir(parents=True)
    (folder / "user.ini").write_text("[Basic]\nSceneCollectionFile=Mine.json\n", "utf-8")
    collection = folder / "basic" / "scenes" / "Mine.json"
    for broken in ('{"sources": ', "[]", '{"sources": [{}]}'):
        collection.write_text(broken, "utf-8")
        assert run_command_line(setup) == 1
        assert "cannot be read" in capsys.readouterr().err
        assert collection.read_text("utf-8") == broken
    sound = {"sources": [{"name": "Camera", "id": "v4l2_input"}], "extra": "kept ä"}
    collection.write_text(json.dumps(sound), "utf-8")
    assert run_command_line(setup) == 0
    written = json.loads(collection.read_text("utf-8"))
    assert written["extra"] == "kept ä"
    assert written["sources"][0]["filters"][0]["id"] == filter_setup.FILTER_KIND
