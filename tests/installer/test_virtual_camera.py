"""Setting up v4l2loopback: what is shown is what is run, and nothing is run twice."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import commands
import pytest

if sys.platform != "linux":
    pytest.skip("v4l2loopback is Linux's", allow_module_level=True)

import v4l2loopback
import virtual_camera
from progress import SetupError
from v4l2loopback import FILES, System

DONE = {name: text + "\n" for name, text in FILES}


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A machine whose kernel has the module, and nothing else."""
    return System(user="ada", etc=tmp_path / "etc", is_installed=True)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs of root's that only write down how they were called; returns the log."""
    log = tmp_path / "log"
    log.touch()
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("modprobe", "udevadm", "usermod", "apt-get", "sudo"):
        run = 'exec "$@"' if name == "sudo" else ""
        (folder / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{log}"\n{run}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def test_the_commands_do_what_they_say(system: System, tools: Path) -> None:
    lines = v4l2loopback.setting_up(replace(system, is_in_group=False, is_loaded=True))
    virtual_camera.run_as_root(lines)
    for name, text in FILES:
        assert (system.etc / name).read_text() == f"{text}\n"
    ran = [line for line in tools.read_text().splitlines() if not line.startswith("sudo")]
    assert ran == [
        "usermod -a -G video ada",
        "modprobe -r v4l2loopback",
        "udevadm control --reload",
        "modprobe v4l2loopback",
        "udevadm settle",
    ]


def test_what_is_set_up_needs_nothing(system: System) -> None:
    ready = replace(
        system, contents=DONE, is_loaded=True, labels=("obs-stylizer", "OBS"), is_in_group=True
    )
    assert v4l2loopback.setting_up(ready) == []
    # Set up, but the machine was not started anew, or the module was unloaded.
    assert "modprobe v4l2loopback" in v4l2loopback.setting_up(replace(ready, labels=()))
    changed = {**DONE, FILES[0][0]: "options v4l2loopback devices=1"}
    assert any("devices=2" in x for x in v4l2loopback.setting_up(replace(ready, contents=changed)))


@pytest.mark.parametrize(
    ("manager", "words"),
    [
        ("apt-get", "apt-get install -y v4l2loopback-dkms linux-headers-amd64"),
        ("dnf", "dnf install"),
        ("pacman", "v4l2loopback-dkms linux-headers"),
        ("zypper", "v4l2loopback-kmp-default"),
    ],
)
def test_the_module_is_installed_where_it_is_missing(
    manager: str, words: str, system: System
) -> None:
    bare = replace(
        system, is_installed=False, package_manager=manager, headers="linux-headers-amd64"
    )
    lines = v4l2loopback.setting_up(bare)
    assert words in lines[1 if manager == "apt-get" else 0]
    assert not any(words in line for line in v4l2loopback.setting_up(system))


def test_a_command_that_fails_is_the_last_and_is_told(system: System, tools: Path) -> None:
    modprobe = tools.parent / "tools" / "modprobe"
    modprobe.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(SetupError, match="code 3"):
        virtual_camera.run_as_root(v4l2loopback.setting_up(system))
    assert "udevadm settle" not in tools.read_text()


def test_removing_takes_our_files_and_no_others(system: System, tools: Path) -> None:
    virtual_camera.run_as_root(v4l2loopback.setting_up(system))
    theirs = system.etc / "modprobe.d" / "v4l2loopback.conf"
    theirs.write_text("options v4l2loopback devices=4\n")
    found = v4l2loopback.look("root", system.etc, system.etc)
    assert found.contents == DONE
    assert found.others == (theirs,)
    assert any(str(theirs) in warning for warning in v4l2loopback.warnings(found))
    virtual_camera.run_as_root(v4l2loopback.removal(found))
    assert [path for path in system.etc.rglob("*") if path.is_file()] == [theirs]
    assert v4l2loopback.removal(v4l2loopback.look("root", system.etc, system.etc)) == []


def test_what_could_come_in_between_is_told(system: System) -> None:
    bare = replace(system, is_installed=False)
    assert "no package manager" in v4l2loopback.warnings(bare)[0]
    fedora = replace(bare, package_manager="dnf", secure_boot=True)
    assert "RPM Fusion" in v4l2loopback.warnings(fedora)[0]
    assert "signed" in v4l2loopback.warnings(fedora)[1]
    assert v4l2loopback.warnings(system) == []


def test_the_names_of_cameras_are_read_from_the_kernel(tmp_path: Path) -> None:
    for number, name, loopback in (
        (0, "vivid", False),
        (1, "obs-stylizer", True),
        (2, "OBS", True),
    ):
        folder = tmp_path / "devices" / "virtual" / "video4linux" / f"video{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        if loopback:
            (folder / "max_openers").write_text("10\n")
    assert v4l2loopback.labels(tmp_path) == ("obs-stylizer", "OBS")


def test_nothing_is_run_before_it_was_shown_and_allowed(
    tools: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert commands.main(["virtual-camera", "--show"]) == 0
    shown = capfd.readouterr().out
    assert "    modprobe v4l2loopback\n" in shown
    assert v4l2loopback.OPTIONS in shown
    assert commands.main(["virtual-camera"]) == 1
    assert "Nothing was changed" in capfd.readouterr().err
    assert "modprobe" not in tools.read_text()


@pytest.mark.parametrize(
    ("platform", "words"), [("win32", "Unity Capture"), ("darwin", "OBS Studio 30")]
)
def test_elsewhere_it_is_explained(
    platform: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert virtual_camera.set_up([]) == 0
    assert words in capsys.readouterr().out


def test_without_sudo_the_commands_are_left_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SetupError, match="neither sudo nor doas"):
        virtual_camera.run_as_root(["true"])


def test_root_is_asked_for_by_sudo(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    virtual_camera.run_as_root([f"touch {tmp_path / 'made'}"])
    assert (tmp_path / "made").exists()
    assert tools.read_text().startswith("sudo sh -e -c touch")
