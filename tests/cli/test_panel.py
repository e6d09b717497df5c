"""``obs-stylizer panel`` opens the panel so that no other account learns how."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from obs_stylizer.cli import panel
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.settings import config_folder
from tests.web.conftest import TOKEN, Running, on_air


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    config_folder().mkdir(parents=True)
    (config_folder() / "token").write_text(TOKEN, "utf-8")
    (tmp_path / "ink.yaml").write_text("title: Ink\n", "utf-8")
    with on_air(tmp_path) as panel_on_air:
        yield panel_on_air


def test_a_browser_is_given_an_address_for_once(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(panel.webbrowser, "open", lambda url: opened.append(url) or True)
    assert run_command_line(["panel", "--address", running.url]) == 0
    assert "is being opened" in capsys.readouterr().out
    # Other accounts see with what a browser is started.
    assert TOKEN not in opened[0]
    with httpx.Client(follow_redirects=True) as browser:
        assert "<title>" in browser.get(opened[0]).text
        assert browser.get(f"{running.url}/api/access").json() == {"known": True}
    with httpx.Client(follow_redirects=True) as other:
        other.get(opened[0])
        assert other.get(f"{running.url}/api/access").json() == {"known": False}


def test_without_a_browser_the_address_is_told(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(panel.webbrowser, "open", lambda _: False)
    assert run_command_line(["panel", "--address", running.url]) == 0
    assert f"open within a minute: {running.url}/?code=" in capsys.readouterr().out


def test_addresses_to_keep_have_the_token(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["panel", "--show", "--address", running.url]) == 0
    said = capsys.readouterr().out
    assert f"{running.url}/?token={TOKEN}" in said
    assert f"{running.url}/stream.mjpg?token={TOKEN}" in said


def test_another_token_is_told(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    (config_folder() / "token").write_text("another-token-of-enough-length", "utf-8")
    assert run_command_line(["panel", "--address", running.url]) == 1
    assert "has another token" in capsys.readouterr().err


def test_nothing_on_air_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["panel", "--address", "127.0.0.1:9"]) == 1
    assert "no obs-stylizer answers" in capsys.readouterr().err
