"""Faults of packages, made for real in environments of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from obs_stylizer.doctor import packages
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.import_trial import broken_parts
from tests.doctor import scratch_environment
from tests.doctor.scratch_environment import ScratchEnvironment, rows, run_check

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links packages as POSIX does")


@pytest.fixture
def scratch(tmp_path: Path) -> ScratchEnvironment:
    return scratch_environment.make(tmp_path / "scratch")


def examine(scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    """Let the check see the scratch environment as its own."""
    monkeypatch.setattr(sys, "executable", str(scratch.python))
    monkeypatch.setattr(sys, "path", [str(scratch.site_packages)])
    return {finding.name: finding for finding in packages.examine(Notes("Packages"))}


def test_a_whole_environment_has_no_fault(
    scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examine(scratch, monkeypatch)
    assert {finding.state for finding in found.values()} == {State.OK}
    assert set(found) == {"ONNX Runtime", "OpenCV", "other parts"}


def test_two_runtimes_are_a_fault_that_the_whole_program_tells(scratch: ScratchEnvironment) -> None:
    scratch.lay("onnxruntime-gpu", "1.31.1")
    code, report = scratch.doctor()
    assert code == 1
    assert report["faults"] == 1
    fault = rows(report, "Packages")["ONNX Runtime"]
    assert fault["state"] == "fault"
    assert "onnxruntime-gpu 1.31.1" in fault["seen"]
    remove, add = fault["commands"]
    # No pip in there, as in what uv makes: then uv is named where there is one.
    assert remove.startswith(
        f"{scratch.python} -m pip uninstall -y onnxruntime onnxruntime-gpu"
    ) or ("uv pip uninstall" in remove)
    assert add.endswith(" install onnxruntime") or "uv pip install" in add
    assert report["seconds"] < 15


def test_a_plug_in_beside_a_runtime_is_no_clash(
    scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.lay("onnxruntime-ep-webgpu")
    assert examine(scratch, monkeypatch)["ONNX Runtime"].state is State.OK


@pytest.mark.skipif(sys.platform != "linux", reason="what is right there depends on the platform")
def test_a_stale_directml_beside_cuda_is_named(
    scratch: ScratchEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\n")
    (tools / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(packages.sysconfig, "get_platform", lambda: "win-amd64")
    for info in scratch.site_packages.glob("onnxruntime-*.dist-info"):
        info.unlink()
    scratch.lay("onnxruntime-gpu", "1.31.1")
    scratch.lay("onnxruntime-directml", "1.24.4")
    fault = examine(scratch, monkeypatch)["ONNX Runtime"]
    assert fault.state is State.FAULT
    assert "DirectML is a leftover beside CUDA" in fault.seen
    assert "onnxruntime-directml onnxruntime-gpu" in fault.commands[0]
    assert "onnxruntime-gpu[cuda,cudnn]" in fault.commands[1]


def test_two_opencvs_are_a_fault(
    scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.lay("opencv-python", "5.0")
    fault = examine(scratch, monkeypatch)["OpenCV"]
    assert fault.state is State.FAULT
    assert "opencv-python 5.0 and opencv-python-headless" in fault.seen


def test_an_empty_cv2_is_a_fault_and_the_rest_is_examined(tmp_path: Path) -> None:
    scratch = scratch_environment.make(tmp_path / "scratch", "cv2", "opencv")
    # What removing one of two OpenCVs leaves: the folder, and no module in it.
    (scratch.site_packages / "cv2" / "data").mkdir(parents=True)
    fault = run_check(scratch.python, "packages")["OpenCV"]
    assert "cv2 is an empty folder" in fault["seen"]
    assert fault["commands"]
    assert "uninstall" not in fault["commands"][0]
    assert run_check(scratch.python, "disk")["cache"]["state"] == "ok"


def test_a_torn_runtime_is_a_fault(scratch: ScratchEnvironment) -> None:
    scratch.module("onnxruntime", "")
    packages = run_check(scratch.python, "packages")
    assert "onnxruntime is there but torn apart" in packages["ONNX Runtime"]["seen"]
    execution = run_check(scratch.python, "execution")
    assert "two of its packages were installed" in execution["cpu"]["seen"]
    # The other runtime is still tried.
    assert any(
        row["state"] == "ok" for name, row in execution.items() if name.startswith("openvino on")
    )


def test_without_a_part_that_every_command_needs_the_doctor_still_comes(
    scratch: ScratchEnvironment,
) -> None:
    (scratch.site_packages / "numpy").unlink()
    code, report = scratch.doctor()
    assert code == 1
    fault = rows(report, "Packages")["numpy"]
    assert "No module named" in fault["seen"]
    assert fault["commands"][0].endswith(" numpy")


def test_a_folder_in_the_place_of_a_package_is_told_from_it(
    scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch.site_packages / "onnx").unlink()
    # The checkout has a folder “onnx” of its own, which Python takes for an empty package.
    assert "onnx is an empty folder" in examine(scratch, monkeypatch)["onnx"].seen


def test_a_library_that_crashes_when_loaded_is_told(
    scratch: ScratchEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.module("pyvirtualcam", "import os\nos.abort()\n")
    fault = examine(scratch, monkeypatch)["parts"]
    assert fault.state is State.FAULT
    assert "crashed with SIGABRT" in fault.seen


def test_what_is_missing_and_what_is_empty_are_told_apart() -> None:
    assert broken_parts({"json": "loads"}) == {}
    assert "torn apart" in broken_parts({"json": "absent"})["json"]
    assert "ModuleNotFoundError" in broken_parts({"absent_module": "x"})["absent_module"]


def test_packages_in_different_folders_do_not_clash() -> None:
    folders = [{"onnxruntime": "1"}, {"onnxruntime-gpu": "1", "numpy": "2"}]
    assert packages.family(folders, packages.ONNX_RUNTIMES) == {"onnxruntime": "1"}
    assert packages.family([{"numpy": "2"}], packages.ONNX_RUNTIMES) == {}
