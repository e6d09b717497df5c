"""``obs-stylizer hotkeys``: on air and off it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from obs_stylizer.cli import app
from obs_stylizer.control.hotkeys.report import HotkeyState, remove_report, write_report
from obs_stylizer.settings import config_folder, runtime_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("COLUMNS", "200")
    config_folder().mkdir(parents=True)


def test_hotkeys_off_air(capsys: pytest.CaptureFixture[str]) -> None:
    text = "hotkeys: {next: ctrl+shift+1, undo: ctrl+alt+backspace}\n"
    (config_folder() / "config.yaml").write_text(text, "utf-8")
    assert app.run_command_line(["hotkeys", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["pid"], report["trouble"]) == (0, "not on air")
    problems = {state["text"]: state["problem"] for state in report["hotkeys"]}
    assert "Shift with a digit" in problems["next"]
    assert problems["undo"] == ""
    assert problems["preset great-wave"] == ""
    assert app.run_command_line(["hotkeys"]) == 0
    assert "ctrl+alt+backspace" in capsys.readouterr().out


def test_hotkeys_of_the_running_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    states = (
        HotkeyState("f13", "next", "your settings"),
        HotkeyState("f14", "undo", "your settings", "taken"),
    )
    write_report(runtime_folder(), "", states)
    try:
        assert app.run_command_line(["hotkeys"]) == 0
        shown = capsys.readouterr().out
        assert f"Hotkeys of process {os.getpid()}" in shown
        assert "works" in shown
        assert "taken" in shown
    finally:
        remove_report(runtime_folder())


def test_names_of_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run_command_line(["hotkeys", "--keys"]) == 0
    shown = capsys.readouterr().out
    assert "ctrl alt shift super" in shown
    assert "pageup" in shown
