"""Runs the tests of the virtual camera under a library that pretends its devices."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import shim

CHECKS = Path(__file__).with_name("under_shim")


@pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is a thing of Linux")
@pytest.mark.parametrize("check", sorted(path.name for path in CHECKS.glob("check_*.py")))
def test_under_the_shim(shim_library: Path, tmp_path: Path, check: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-o", "python_files=check_*.py"]
    command += ["-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inner"), CHECKS / check]
    environment = shim.environment(shim_library, tmp_path)
    done = subprocess.run(
        [os.fspath(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
