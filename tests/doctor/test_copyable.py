"""Commands that can be copied: they start what they name, with every word whole."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from obs_stylizer.doctor import copyable

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="the shell of POSIX systems")


@posix_only
def test_words_with_blanks_stay_whole() -> None:
    line = copyable.command("printf", "%s|", "a b", "it's", "$HOME")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "a b|it's|$HOME|"


def test_windows_has_quotes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert copyable.command("a", "b c") == 'a "b c"'


@posix_only
def test_the_program_is_found_where_the_shell_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    script = Path(sys.executable).with_name("obs-stylizer")
    wanted = str(script) if script.exists() else "obs-stylizer"
    assert shlex.split(copyable.program("run")) == [wanted, "run"]


def test_an_exchange_removes_first_and_only_what_is_there() -> None:
    remove, add = copyable.exchange(["onnxruntime", "onnxruntime-gpu"], "onnxruntime")
    assert "uninstall" in remove
    assert "onnxruntime onnxruntime-gpu" in remove
    assert "uninstall" not in add
    (only,) = copyable.exchange([], "onnxruntime")
    assert only == add


@posix_only
def test_without_pip_uv_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert copyable.install("x") == f"{uv} pip install --python {sys.executable} x"
    assert copyable.uninstall("x") == f"{uv} pip uninstall --python {sys.executable} x"
    assert "--reinstall" in copyable.reinstall("x")


def test_the_installer_is_named_where_it_is() -> None:
    found = copyable.installer("virtual-camera")
    assert found is not None
    script = Path(shlex.split(found)[1])
    assert script.is_file()
    assert found.endswith(" virtual-camera")


def test_the_program_is_installed_again_from_where_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    command = shlex.split(copyable.reinstall_program())
    assert "--no-deps" in command
    assert command[-1].endswith(".whl") or Path(command[-1]).is_dir()
    monkeypatch.setattr(copyable, "_origin", lambda: "")
    assert copyable.reinstall_program().endswith("-py3-none-any.whl")
