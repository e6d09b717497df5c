"""A tiny project in the place of ours, whose packages lie in a folder: no network is needed."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

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
import os, tomllib, zipfile
from pathlib import Path

VERSION = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
INFO = f"obs_stylizer-{VERSION}.dist-info"
METADATA = {
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\\nName: obs-stylizer\\nVersion: {VERSION}\\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\\nobs-stylizer = daemon:main\\n",
    f"{INFO}/RECORD": "",
}

def build(directory, files):
    name = f"obs_stylizer-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(Path(directory) / name, "w") as wheel:
        for path, text in {**files, **METADATA}.items():
            wheel.writestr(path, text)
    return name

def build_editable(directory, config_settings=None, metadata_directory=None):
    if "BLOCKED_BY" in os.environ:
        Path(os.environ["BLOCKED_BY"]).read_text()
    return build(directory, {"obs_stylizer.pth": str(Path.cwd() / "source")})

def build_wheel(directory, config_settings=None, metadata_directory=None):
    return build(directory, {"daemon.py": Path("source", "daemon.py").read_text()})
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
