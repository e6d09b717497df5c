import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import system_packages
from system_packages import FOR_TESTS, SystemPackage, provide

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="apt-get is none of Windows")

PRESENT = SystemPackage("present", "/", "nothing")
ABSENT = SystemPackage("absent", "no-such-program", "a test")
LIBRARY = SystemPackage("absent0", "lib:no-such-library", "a test")
FILE = SystemPackage("absent-dev", "/no/such/file.h", "a test")


class AptGet:
    """Stands in for apt-get: fails as often as it is told to."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls: list[list[str]] = []

    def __call__(
        self, command: list[str], **_options: object
    ) -> "subprocess.CompletedProcess[str]":
        self.calls.append([word for word in command if not word.startswith("-")])
        failed = len(self.calls) <= self.failures
        errors = "E: Unable to locate package absent\n" if failed else ""
        return subprocess.CompletedProcess(command, 100 if failed else 0, "", errors)

    def commands(self) -> list[str]:
        return ["update" if "update" in call else "install" for call in self.calls]


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "apt-get").chmod(0o755)
    # Behind it what Python finds libraries with.
    monkeypatch.setenv("PATH", f"{tmp_path}:/sbin:/usr/sbin:/bin:/usr/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def use(apt_get: AptGet, monkeypatch: pytest.MonkeyPatch) -> AptGet:
    monkeypatch.setattr(system_packages.subprocess, "run", apt_get)
    return apt_get


def test_nothing_is_installed_where_nothing_is_missing(
    debian: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apt_get = use(AptGet(0), monkeypatch)
    provide([PRESENT])
    assert apt_get.calls == []
    assert capsys.readouterr().err == ""


def test_only_what_is_missing_is_installed(debian: None, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_get = use(AptGet(0), monkeypatch)
    provide([PRESENT, ABSENT, LIBRARY, SystemPackage("libc6", "lib:c", ""), FILE])
    assert apt_get.commands() == ["install"]
    assert apt_get.calls[0][-3:] == ["absent", "absent0", "absent-dev"]


def test_the_lists_are_fetched_if_a_package_is_not_found(
    debian: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apt_get = use(AptGet(1), monkeypatch)
    provide([ABSENT])
    assert apt_get.commands() == ["install", "update", "install"]
    assert "could not" not in capsys.readouterr().err


def test_what_could_not_be_installed_is_named(
    debian: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(AptGet(9), monkeypatch)
    provide([ABSENT])
    said = capsys.readouterr().err
    assert "Unable to locate package" in said
    assert "sudo apt-get install --no-install-recommends absent" in said


def test_without_root_the_command_is_named_and_nothing_done(
    debian: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apt_get = use(AptGet(0), monkeypatch)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    provide([PRESENT, ABSENT])
    assert apt_get.calls == []
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "sudo apt-get install --no-install-recommends absent" in said


def test_whatever_a_skipped_test_asks_for_is_installed() -> None:
    tests = (path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("*.py"))
    hints = [
        words for text in tests for words in re.findall(r"\(apt install ([a-z0-9 -]+)\)", text)
    ]
    wanted = {package for words in hints for package in words.split()}
    assert "xdotool" in wanted
    # Blender brings half a gigabyte for one test.
    assert wanted - {package.name for package in FOR_TESTS} == {"blender"}


def test_another_system_is_told_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    provide([PRESENT, ABSENT])
    assert "no-such-program (a test)" in capsys.readouterr().err
