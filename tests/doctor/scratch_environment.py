"""Environments of Python that a test may ruin: a venv with the real packages linked into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ScratchEnvironment:
    """A venv that sees the packages of this one, less those that were left out."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        return next(self.folder.glob("lib/*/site-packages"))

    def lay(self, name: str, version: str = "1.0") -> None:
        """Let a distribution be installed, as far as its metadata go."""
        info = self.site_packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def module(self, name: str, text: str) -> None:
        """Put a package with this text in the place of the real one."""
        link = self.site_packages / name
        if link.is_symlink():
            link.unlink()
        link.mkdir()
        (link / "__init__.py").write_text(text)

    def doctor(self, *arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
        """Run ``obs-stylizer doctor --json`` in it: exit code and answer."""
        return run_doctor(self.python, *arguments, **variables)


def make(folder: Path, *without: str) -> ScratchEnvironment:
    """Make one whose packages are links to the real ones, except those that begin so."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    made = ScratchEnvironment(folder)
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(without or ("-",)):
            (made.site_packages / entry.name).symlink_to(entry)
    return made


def run_doctor(python: str | Path, *arguments: str, **variables: str) -> tuple[int, dict[str, Any]]:
    """Run ``obs-stylizer doctor --json`` as a user does: exit code and answer."""
    done = subprocess.run(
        [python, "-P", "-m", "obs_stylizer", "doctor", "--json", *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


ONE_AREA = """
import json, sys, tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from obs_stylizer.doctor.findings import Notes
from obs_stylizer.doctor.situation import look_around

check = import_module(f"obs_stylizer.doctor.{sys.argv[1]}")
with tempfile.TemporaryDirectory() as scratch:
    findings = check.examine(Notes(sys.argv[1]), look_around(None, Path(scratch)))
    print(json.dumps([asdict(finding) for finding in findings]))
"""


def run_check(python: str | Path, module: str, **variables: str) -> dict[str, dict[str, Any]]:
    """Run one check alone, in a process of its own: the findings by name."""
    done = subprocess.run(
        [python, "-P", "-c", ONE_AREA, module],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


def rows(report: Mapping[str, Any], area: str) -> dict[str, dict[str, Any]]:
    """The findings of an area, by name."""
    return {row["name"]: row for row in report["findings"] if row["area"] == area}
