"""The installer as a whole, on a tiny project."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installer.tiny_project import CHECKOUT, PYPROJECT, Project, make_project, make_wheel

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="plays with signals, pipes and links of POSIX"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that is set up once; what a test breaks, it has repaired."""
    project = make_project(tmp_path_factory.mktemp("installer"))
    first = project.run()
    assert first.returncode == 7, first.stderr
    for step in ("1/3", "2/3", "3/3"):
        assert step in first.stderr
    return project


@pytest.fixture
def project(shared: Project) -> Iterator[Project]:
    yield shared
    after = shared.run()
    assert after.stderr == "", "the test left something to do"


def test_a_second_start_only_starts(project: Project) -> None:
    done = project.run("--frames", "3", "--help")
    # The process that was started has become the daemon: signals reach it directly.
    assert done.stdout == f"daemon {done.args[0]} cpu run --frames 3 --help\n"
    assert done.stderr == ""
    assert done.returncode == 7


def test_no_standard_input_is_no_hindrance(project: Project) -> None:
    command = f"'{sys.executable}' '{project.root}/installer/install.py' run <&-"
    done = subprocess.run(
        ["sh", "-c", command], env=project.variables(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr


@pytest.mark.skipif(sysconfig.get_platform() != "linux-x86_64", reason="needs Linux on x86-64")
@pytest.mark.skipif(
    Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None,
    reason="has a real NVIDIA GPU",
)
def test_the_runtime_is_swapped_when_a_gpu_comes_or_goes(project: Project) -> None:
    tool = project.tools / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA GeForce RTX 4070, 580.95.05, 8.9'\n")
    tool.chmod(0o755)
    with_gpu = project.run()
    assert "NVIDIA GPU or its driver has changed" in with_gpu.stderr
    assert "onnxruntime-gpu, since NVIDIA GeForce RTX 4070 found" in with_gpu.stderr
    assert " cuda" in with_gpu.stdout
    assert "onnxruntime_gpu" in project.installed()
    assert "onnxruntime" not in project.installed()
    assert project.run().stderr == ""

    tool.unlink()
    without = project.run()
    assert " cpu" in without.stdout
    assert "onnxruntime" in project.installed()
    assert "onnxruntime_gpu" not in project.installed()


def test_a_second_runtime_put_beside_the_first_is_removed(project: Project) -> None:
    pip = [str(project.root / ".venv" / "bin" / "python"), "-m", "pip", "--quiet"]
    subprocess.run(
        [*pip, "install", "onnxruntime-gpu"], env=project.variables(), check=True, timeout=240
    )
    done = project.run()
    assert "onnxruntime, onnxruntime-gpu" in done.stderr
    assert " cpu" in done.stdout
    assert "onnxruntime_gpu" not in project.installed()


def test_an_installation_that_was_cut_short_is_finished(project: Project) -> None:
    (project.root / ".venv" / "installed.json").unlink()
    part = project.site_packages() / "part.py"
    part.write_text("")
    done = project.run()
    assert "once more, since it was cut short: part" in done.stderr
    assert part.read_text() == "whole = True\n"
    assert done.returncode == 7


def test_a_killed_installation_is_waited_for_and_taken_up(project: Project, tmp_path: Path) -> None:
    (project.root / ".venv" / "installed.json").unlink()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    first = project.start("run", BLOCKED_BY=str(pipe))
    with pipe.open("w"):
        # The pipe opens when pip has come to building the project; pip outlives its starter.
        first.send_signal(signal.SIGKILL)
        first.wait(30)
        second = project.start("run")
        assert second.stderr is not None
        assert f"Another installation is running (process {first.pid}" in second.stderr.readline()
    output, _ = second.communicate(timeout=240)
    first.communicate(timeout=30)
    assert second.returncode == 7
    assert output.startswith("daemon")


def test_an_interrupted_installation_says_that_it_can_go_on(
    project: Project, tmp_path: Path
) -> None:
    (project.root / ".venv" / "installed.json").unlink()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = project.start("run", BLOCKED_BY=str(pipe))
    with pipe.open("w"):
        process.send_signal(signal.SIGINT)
        process.wait(30)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("Interrupted. The same command goes on from here.\n")
    assert project.run().returncode == 7


def test_an_environment_made_elsewhere_is_made_anew(project: Project) -> None:
    moved = Project(project.root.with_name("moved"), project.wheels, project.tools)
    shutil.copytree(project.root, moved.root, symlinks=True)
    done = moved.run()
    assert f"the folder was moved here from {project.root}" in done.stderr
    assert done.returncode == 7
    assert str(moved.root) in (moved.root / ".venv" / "bin" / "obs-stylizer").read_text()


def test_a_broken_python_is_replaced(project: Project) -> None:
    shutil.rmtree(project.site_packages() / "pip")
    (project.root / ".venv" / "installed.json").unlink()
    done = project.run()
    assert "making a private environment" in done.stderr
    assert done.returncode == 7


def test_a_failure_is_told_and_the_next_call_goes_on(project: Project) -> None:
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(PYPROJECT.replace('"part>=1"', '"part>=1", "absent"'))
    failed = project.run()
    assert failed.returncode == 1
    assert "installing the packages failed" in failed.stderr
    assert "No matching distribution found for absent" in failed.stderr
    log = project.root / "build" / "install.log"
    assert str(log) in failed.stderr
    assert log.is_file()
    assert "Traceback" not in failed.stderr

    make_wheel(project.wheels, "absent", {"absent.py": ""})
    done = project.run()
    assert done.returncode == 7, done.stderr
    assert "absent" in project.installed()


def test_a_part_that_does_not_start_is_named(project: Project) -> None:
    module = project.site_packages() / "numpy.py"
    module.write_text("raise ImportError('libmissing.so.1: cannot open shared object file')\n")
    (project.root / ".venv" / "installed.json").unlink()
    failed = project.run()
    assert failed.returncode == 1
    assert "numpy does not start: libmissing.so.1" in failed.stderr
    module.unlink()
    assert project.run().returncode == 7


def test_a_python_without_ensurepip_is_told_the_remedy(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    # Debian's Python without python3-venv: the module is simply not there.
    blind = textwrap.dedent(
        """
        import importlib.util, runpy, sys
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "ensurepip" else find(name)
        sys.argv = sys.argv[1:]
        runpy.run_path(sys.argv[0], run_name="__main__")
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", blind, str(project.root / "installer" / "install.py"), "run"],
        env={**project.variables(), "PYTHONPATH": str(project.root / "installer")},
        capture_output=True,
        text=True,
        check=False,
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert f"sudo apt install python{version}-venv" in done.stderr
    assert not (project.root / ".venv").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_real_project_is_set_up_from_its_package_index(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(
        CHECKOUT,
        root,
        ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "runs", "build"),
    )
    command = [sys.executable, str(root / "installer" / "install.py"), "run", "--help"]
    first = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert first.returncode == 0, first.stderr
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 0
    assert second.stderr == ""
    assert "--source" in second.stdout
