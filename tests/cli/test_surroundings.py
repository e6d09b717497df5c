"""Terminals that are not UTF-8, and users without a home: the program goes on."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from obs_stylizer.cli import encoding as printing
from obs_stylizer.cli import home
from obs_stylizer.settings import config_folder

ASCII_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="users and locales of POSIX")


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "obs_stylizer", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


@POSIX_ONLY
@pytest.mark.parametrize(
    "environment",
    [ASCII_LOCALE, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}],
)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["presets", "show", "great-wave"], 0),
        (["presets", "show", "größer → 長"], 1),
    ],
)
def test_a_terminal_that_knows_few_letters_ends_nothing(
    arguments: list[str], code: int, environment: dict[str, str]
) -> None:
    ended = run(arguments, **environment)
    assert ended.returncode == code
    for sign in (b"Traceback", b"UnicodeEncodeError", b"unexpected"):
        assert sign not in ended.stdout + ended.stderr


@POSIX_ONLY
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_json_is_utf_8_on_every_terminal(encoding: str, tmp_path: Path) -> None:
    presets = tmp_path / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    (presets / "mine.yaml").write_text("title: Größer als 長\n", "utf-8")
    ended = run(
        ["presets", "list", "--json"], PYTHONIOENCODING=encoding, XDG_CONFIG_HOME=str(tmp_path)
    )
    assert ended.returncode == 0
    assert "Größer als 長" in str(json.loads(ended.stdout.decode("utf-8")))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_keeps_what_is_no_letter(encoding: str) -> None:
    values = {"name": "caf\udce9.mp4", "title": "Größer", "path": Path("a")}
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    text = printing.json_text(values, stream=stream)
    stream.write(text)
    stream.flush()
    read = json.loads(text.encode("utf-8"))
    assert read == {"name": "caf\udce9.mp4", "title": "Größer", "path": "a"}


def test_letters_are_themselves_where_they_can_be_shown() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    assert printing.json_text("Größe", stream=stream) == '"Größe"'


@POSIX_ONLY
def test_without_a_home_there_is_a_folder_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "")  # Restored at the end, with what is set here.
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(home.Path, "home", _no_home)
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    home.ensure_home()
    told = capsys.readouterr().err
    folder = tmp_path / f"obs-stylizer-home-{os.getuid()}"
    assert told.count("\n") == 1
    assert "set HOME" in told
    assert str(folder) in told
    assert folder.stat().st_mode & 0o777 == 0o700
    assert config_folder().is_relative_to(folder)


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_a_temporary_home_that_others_can_enter_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(home.Path, "home", _no_home)
    monkeypatch.setattr(home.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(home.tempfile, "tempdir", str(tmp_path))
    planted = tmp_path / f"obs-stylizer-home-{os.getuid()}"
    planted.mkdir()
    planted.chmod(mode)
    home.ensure_home()
    assert os.environ["HOME"].startswith(f"{tmp_path}/obs-stylizer-home-")
    assert os.environ["HOME"] != str(planted)


@POSIX_ONLY
def test_without_any_folder_the_program_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none_usable() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(home.Path, "home", _no_home)
    monkeypatch.setattr(home.tempfile, "gettempdir", none_usable)
    home.ensure_home()
    assert os.environ["HOME"] == "/nonexistent"
    assert "set HOME" in capsys.readouterr().err


def test_who_has_a_home_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    home.ensure_home()
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become a bare number"
)
def test_a_user_that_is_only_a_number(tmp_path: Path) -> None:
    """The number has no entry in the list of users, and HOME is not set."""
    program = (
        "import os, sys; os.setgid(54321); os.setuid(54321); os.chdir('/');"
        "os.environ.pop('HOME', None); from obs_stylizer.cli.home import ensure_home;"
        "ensure_home(); from obs_stylizer.settings import load_settings, config_folder;"
        "load_settings(); print(config_folder())"
    )
    tmp_path.chmod(0o777)
    environment = {"PATH": os.defpath, "TMPDIR": "/tmp", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    if "Permission denied" in ended.stderr or "ModuleNotFoundError" in ended.stderr:
        pytest.skip("the program lies where that user may not read it")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("/tmp/obs-stylizer-home-")
    assert ended.stderr.count("warning: this user has no home folder") == 1
