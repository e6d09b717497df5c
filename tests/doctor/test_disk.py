"""Free space, and folders that cannot be written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from obs_stylizer.doctor import disk, permissions
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import WorkerError


@pytest.mark.parametrize(
    ("name", "free", "state"),
    [
        ("cache", 20_000_000_000, State.OK),
        ("cache", 900_000_000, State.WARNING),
        ("cache", 10_000_000, State.FAULT),
        ("recordings", 4_000_000_000, State.WARNING),
    ],
)
def test_what_free_space_means(
    name: str, free: int, state: State, notes: Notes, tmp_path: Path
) -> None:
    found = disk.judge(notes, name, tmp_path, free)
    assert found.state is state
    assert str(tmp_path) in found.seen
    assert bool(found.commands) is (state is not State.OK)


def test_the_folders_of_recordings_are_looked_at(
    notes: Notes, situation: Callable[..., Situation], tmp_path: Path
) -> None:
    here = situation(
        sinks=[f"file:{tmp_path}/not/yet/show.mkv", "nonsense"],
        recording={"folder": str(tmp_path / "videos")},
    )
    found = [finding for finding in disk.examine(notes, here) if finding.name == "recordings"]
    assert found
    assert all(str(tmp_path) in finding.seen for finding in found)


def test_a_full_disk(
    notes: Notes, situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 0

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Full)
    found = {finding.name: finding.state for finding in disk.examine(notes, situation())}
    # Frames go through memory that no folder limits.
    assert found.pop("shared memory") is State.OK
    assert set(found.values()) == {State.FAULT}


def test_memory_for_frames(
    notes: Notes, situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise WorkerError("/dev/shm has 4 MB, 22 MB are needed", "docker run --shm-size=1g")

    def row() -> Finding:
        here = situation(size="640x360")
        return next(f for f in disk.examine(notes, here) if f.name == "shared memory")

    assert row().state is State.OK
    assert "7 MB for 640x360 can be had" in row().seen
    monkeypatch.setattr(disk, "make_memory", refuse)
    assert row().state is State.FAULT
    assert "are needed" in row().seen


def folders(situation: Situation) -> dict[str, Finding]:
    return {f.name: f for f in permissions.examine(Notes("Permissions"), situation)}


def test_folders_that_can_be_written(situation: Callable[..., Situation]) -> None:
    assert folders(situation())["folders"].state is State.OK


@pytest.mark.skipif(sys.platform == "win32", reason="folders by XDG_CONFIG_HOME")
def test_a_folder_that_cannot_be_written(
    situation: Callable[..., Situation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = situation()
    # Even root cannot make a folder inside a file.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    found = folders(here)["folder"]
    assert found.state is State.FAULT
    assert str(tmp_path / "file") in found.seen
    assert found.commands[0].startswith("sudo chown")


@pytest.mark.skipif(sys.platform != "linux", reason="devices of Linux")
def test_devices_that_may_not_be_opened(
    notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "video0").write_text("")
    devices = (("cameras", tmp_path, "video[0-9]*", "video"),)
    monkeypatch.setattr(permissions, "_DEVICES", devices)
    (allowed,) = permissions._devices(notes)
    assert allowed.state is State.OK
    monkeypatch.setattr(permissions.os, "access", lambda *_: False)
    (forbidden,) = permissions._devices(notes)
    assert forbidden.state is State.WARNING
    assert forbidden.commands == ("sudo usermod -a -G video $USER",)
