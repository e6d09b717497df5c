"""The installer as a whole, on a tiny project whose packages lie in a folder: no network."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="plays with signals, pipes and links of POSIX"
)

CHECKOUT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["backend"]

[project]
name = "obs-stylizer"
version = "1.0"
dependencies = ["part>=1", "onnxruntime>=1"]

[project.optional-dependencies]
test = ["extra"]
"""

# Stands in for hatchling. With BLOCKED_BY it waits until the pipe of that name is closed.
BACKEND = """
import os, zipfile
from pathlib import Path

INFO = "obs_stylizer-1.0.dist-info"
FILES = {
    "obs_stylizer.pth": str(Path.cwd() / "source"),
    f"{INFO}/METADATA": "Metadata-Version: 2.1\\nName: obs-stylizer\\nVersion: 1.0\\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\\nobs-stylizer = daemon:main\\n",
    f"{INFO}/RECORD": "",
}

def build_editable(directory, config_settings=None, metadata_directory=None):
    if "BLOCKED_BY" in os.environ:
        Path(os.environ["BLOCKED_BY"]).read_text()
    name = "obs_stylizer-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory) / name, "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text)
    return name
"""

DAEMON = """
import os, sys

def main():
    import onnxruntime
    print("daemon", os.getpid(), onnxruntime.BUILD, *sys.argv[1:])
    return 7
"""


def digest(text: str) -> str:
    raw = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def make_wheel(
    folder: Path, name: str, files: dict[str, str], extras: tuple[str, ...] = ()
) -> None:
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
    metadata += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    files = {
        **files,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={digest(text)},{len(text)}\n" for path, text in files.items()]
    record = "".join([*rows, f"{info}/RECORD,,\n"])
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(path, text)


def listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Project:
    """The tiny project and what is around it."""

    root: Path
    wheels: Path
    tools: Path

    def variables(self, **more: str) -> dict[str, str]:
        variables = {key: value for key, value in os.environ.items() if "PIP_" not in key}
        return {
            **variables,
            "PATH": os.pathsep.join([str(self.tools), os.environ["PATH"]]),
            # A pip that is killed leaves its temporary folders behind.
            "TMPDIR": str(self.tools),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            **more,
        }

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.root / "installer" / "install.py"), *arguments],
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whatever runs the tests in the background may have made them deaf to it.
            preexec_fn=listen_to_interrupts,
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        process = self.start("run", *arguments)
        output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess([str(process.pid)], process.returncode, output, errors)

    def installed(self) -> set[str]:
        return {path.name.split("-")[0] for path in self.root.glob(".venv/lib/*/*/*.dist-info")}

    def site_packages(self) -> Path:
        return next(self.root.glob(".venv/lib/*/site-packages"))


def make_project(folder: Path) -> Project:
    # With a blank and a letter that is not ASCII, as a home directory may have.
    project = Project(folder / "a pröject", folder / "wheels", folder / "tools")
    for path in (project.root / "backend", project.root / "source", project.wheels, project.tools):
        path.mkdir(parents=True)
    (project.root / "pyproject.toml").write_text(PYPROJECT)
    (project.root / "backend" / "backend.py").write_text(BACKEND)
    (project.root / "source" / "daemon.py").write_text(DAEMON)
    shutil.copytree(
        CHECKOUT / "installer",
        project.root / "installer",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    make_wheel(project.wheels, "part", {"part.py": "whole = True\n"})
    for name, build in (("onnxruntime", "cpu"), ("onnxruntime_gpu", "cuda")):
        # Like the real ones, both bring the same folder.
        module = f"BUILD = {build!r}\nclass InferenceSession: ...\n"
        make_wheel(project.wheels, name, {"onnxruntime/__init__.py": module}, ("cuda", "cudnn"))
    return project


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
