"""Virtual cameras of a pretended v4l2loopback, seen by the whole program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from obs_stylizer.doctor import virtual_cameras
from obs_stylizer.doctor.findings import Notes, State
from obs_stylizer.listing import Listing
from obs_stylizer.sinks.listing import VirtualCameraInfo
from tests.doctor.scratch_environment import run_check
from tests.fakes import shim
from tests.fakes.shim import DEVICES, ShimDevice

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is Linux's")

HOLD = """
import sys
from obs_stylizer.locks import ResourceLock
lock = ResourceLock.take(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


class Machine:
    """A machine with two virtual cameras."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.variables = shim.environment(library, folder)
        self.first, self.second = (ShimDevice(device, folder) for device in DEVICES)

    def check(self) -> dict[str, dict[str, Any]]:
        return run_check(sys.executable, "virtual_cameras", **self.variables)

    def camera(self, device: str) -> dict[str, Any]:
        return next(row for name, row in self.check().items() if name.endswith(device))


@pytest.fixture
def machine(shim_library: Path, tmp_path: Path) -> Machine:
    return Machine(shim_library, tmp_path)


@pytest.fixture
def holder() -> Iterator[int]:
    """The process of a daemon that writes to the first camera."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, f"virtual camera {DEVICES[0]}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()
        process.wait()


@linux_only
def test_two_free_cameras(machine: Machine) -> None:
    found = machine.check()
    free = [row for name, row in found.items() if name.endswith(DEVICES)]
    assert [row["state"] for row in free] == ["ok", "ok"]
    assert "one is left for OBS" in found["beside OBS's own"]["seen"]


@linux_only
def test_one_camera_alone_is_a_warning_with_the_remedy(machine: Machine) -> None:
    machine.second.set("gone")
    warning = machine.check()["beside OBS's own"]
    assert warning["state"] == "warning"
    assert "devices=2 exclusive_caps=1,1" in warning["commands"][-1]


@linux_only
def test_a_camera_that_another_program_writes_to(machine: Machine) -> None:
    machine.first.set("taken")
    taken = machine.camera(DEVICES[0])
    assert taken["state"] == "warning"
    assert "writes to it" in taken["seen"]


@linux_only
def test_a_camera_that_a_daemon_of_ours_writes_to(machine: Machine, holder: int) -> None:
    ours = machine.camera(DEVICES[0])
    assert ours["state"] == "ok"
    assert f"process {holder}" in ours["seen"]
    program = run_check(sys.executable, "program", **machine.variables)
    assert f"process {holder}" in program["on air"]["seen"]


@linux_only
def test_cameras_that_may_not_be_opened(machine: Machine) -> None:
    for device in (machine.first, machine.second):
        device.set("denied")
    found = machine.check()["virtual camera"]
    assert "may not be opened" in found["seen"]
    assert "usermod -a -G video" in found["remedy"] + "".join(found["commands"])


@pytest.mark.parametrize(
    ("platform", "words"), [("win32", "Unity Capture"), ("darwin", "media source")]
)
def test_one_camera_on_other_platforms(
    platform: str, words: str, monkeypatch: pytest.MonkeyPatch, notes: Notes
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    camera = VirtualCameraInfo("OBS Virtual Camera", "OBS Virtual Camera", "obs")
    (found,) = virtual_cameras._beside_obs(notes, Listing([camera]))
    assert found.state is State.WARNING
    assert words in found.remedy


def test_a_module_without_exclusive_caps_that_is_not_loaded_at_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, notes: Notes
) -> None:
    parameters = tmp_path / "module" / "parameters"
    parameters.mkdir(parents=True)
    (parameters / "exclusive_caps").write_text("N,N,N,N\n")
    monkeypatch.setattr(virtual_cameras, "_MODULE", tmp_path / "module")
    boot = (tmp_path / "modules-load.d", tmp_path / "modules")
    monkeypatch.setattr(virtual_cameras, "_LOADED_AT_BOOT", boot)
    found = {finding.name: finding for finding in virtual_cameras._module(notes)}
    assert set(found) == {"exclusive_caps", "after a restart"}
    assert "virtual-camera" in found["after a restart"].commands[0]
    monkeypatch.setattr(virtual_cameras.copyable, "installer", lambda *_: None)
    found = {finding.name: finding for finding in virtual_cameras._module(notes)}
    assert "modules-load.d" in found["after a restart"].commands[0]
    (parameters / "exclusive_caps").write_text("Y,Y,N\n")
    boot[0].mkdir()
    (boot[0] / "v4l2loopback.conf").write_text("# ours\nv4l2loopback\n")
    assert list(virtual_cameras._module(notes)) == []
