"""The wheel and the source distribution: complete, small, and enough by themselves."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.installer.tiny_project import CHECKOUT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

MOST_BYTES = 60_000_000


def bare_environment(folder: Path) -> Path:
    """An environment with nothing in it but pip; returns its Python."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    subprocess.run([base, "-m", "venv", folder], check=True)
    return folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def pip(python: Path, *arguments: str | Path) -> None:
    subprocess.run([python, "-I", "-m", "pip", "--quiet", *arguments], check=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from this checkout."""
    folder = tmp_path_factory.mktemp("built")
    python = bare_environment(folder / "builder")
    pip(python, "install", "hatchling")
    command = [python, "-m", "hatchling", "build", "-d", folder]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, installed from the wheel alone; returns its command."""
    python = bare_environment(tmp_path_factory.mktemp("bare") / "environment")
    pip(python, "install", wheel)
    return python.with_name("obs-stylizer")


def names_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def bundled() -> set[str]:
    """What the checkout has to give along, as far as it is committed."""
    listed = subprocess.run(
        ["git", "ls-files", "onnx", "presets"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {f"obs_stylizer/_bundled/{name}" for name in listed.splitlines()}


def test_the_wheel_is_small_and_has_every_model_and_preset(wheel: Path) -> None:
    assert wheel.stat().st_size <= MOST_BYTES
    names = names_of(wheel)
    if (CHECKOUT / ".git").exists():
        assert bundled() <= names
    assert any(name.endswith("paintings.onnx") for name in names)
    assert {name.split("/")[0] for name in names} == {"obs_stylizer"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_source_distribution_builds_the_same_wheel(
    built: Path, wheel: Path, tmp_path: Path
) -> None:
    source = next(built.glob("*.tar.gz"))
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "installer/install.py", "README.md"} <= names
    pip(built / "builder" / "bin" / "python", "wheel", "--no-deps", "-w", tmp_path, source)
    assert names_of(next(tmp_path.glob("*.whl"))) == names_of(wheel)


def run(command: Path, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # Nothing of the checkout may be found, by whatever way.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [command, *arguments],
        cwd=home,
        env={**variables, "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_main_job_runs_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed,
        tmp_path,
        *("run", "--source", "pattern", "--preset", "great-wave", "--size", "320x180"),
        *("--process-size", "320x180", "--sink", "file:show.mkv", "--frames", "20"),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "show.mkv").stat().st_size > 10_000
    listed = json.loads(run(installed, tmp_path, "presets", "list", "--json").stdout)
    folder = str(installed.parents[1])
    assert listed["errors"] == {}
    assert all(preset["file"].startswith(folder) for preset in listed["presets"])


def test_a_model_that_was_damaged_after_the_installation_is_found(
    installed: Path, tmp_path: Path
) -> None:
    def hashes() -> dict[str, str]:
        told = json.loads(run(installed, tmp_path, "doctor", "--json").stdout)
        return next(row for row in told["findings"] if row["name"] == "hashes")

    whole = hashes()
    assert whole["state"] == "ok"
    assert "the package's own list" in whole["seen"]
    model = next(installed.parents[1].rglob("paintings.jpg"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    broken = hashes()
    assert broken["state"] == "fault"
    assert "onnx/paintings.jpg was changed" in broken["seen"]
    assert "reinstall" in broken["commands"][0]
