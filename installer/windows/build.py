#!/usr/bin/env python3
"""Builds obs-stylizer-VERSION-setup.exe for Windows, on Linux (or anywhere with NSIS).

    python3 installer/windows/build.py [--output DIRECTORY]

Needs makensis (apt install nsis) and uv (pip install uv). uv resolves what is needed for Windows,
and pip fetches it as wheels. At installation uv.exe, which is shipped, fetches the Python
interpreter; so that one step needs the network, and nothing else does without an NVIDIA GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("setup.nsi")

# The interpreter that is fetched at installation, and that the wheels are for.
PYTHON = "3.12"
PLATFORM = "win_amd64"
UV_PLATFORM = "x86_64-pc-windows-msvc"


class BuildError(Exception):
    """It cannot be built; the text says why and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Builds it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where it is put")
    parser.add_argument(
        "--payload", type=Path, help="a payload that was gathered before, instead of a new one"
    )
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="obs-stylizer-windows-") as scratch:
            payload = options.payload or gather(Path(scratch) / "payload")
            setup = pack(payload, options.output)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    print(f"{setup} ({setup.stat().st_size / 1e6:.1f} MB)")
    return 0


def version() -> str:
    """The version that is packed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def gather(payload: Path) -> Path:
    """Collects everything that the setup lays down; returns the folder."""
    packages = payload / "packages"
    packages.mkdir(parents=True)
    print("building the wheel …", flush=True)
    pip("wheel", "--no-deps", "--wheel-dir", packages, ROOT)
    print("finding out what Windows needs …", flush=True)
    pinned = payload.with_name("pinned.txt")
    uv(
        *("pip", "compile", "--python-platform", UV_PLATFORM, "--python-version", PYTHON),
        *("--only-binary", ":all:", "--no-header", "--no-annotate", "--output-file", pinned),
        ROOT / "pyproject.toml",
    )
    print("fetching it …", flush=True)
    fetch(packages, "--requirement", pinned)
    fetch_uv(payload)
    shutil.copytree(
        ROOT / "installer",
        payload / "installer",
        ignore=shutil.ignore_patterns("__pycache__", "windows"),
    )
    shutil.copy2(ROOT / "pyproject.toml", payload)
    shutil.copy2(ROOT / "LICENSE", payload / "LICENSE.txt")
    return payload


def fetch(folder: Path, *what: str | Path) -> None:
    """Fetches wheels for Windows. Those for any platform count, sources do not."""
    pip(
        *("download", "--no-deps", "--only-binary", ":all:", "--dest", folder),
        *("--platform", PLATFORM, "--python-version", PYTHON, "--implementation", "cp"),
        *what,
    )


def fetch_uv(payload: Path) -> None:
    """Takes uv.exe out of its wheel for Windows."""
    with tempfile.TemporaryDirectory() as scratch:
        fetch(Path(scratch), "uv")
        wheel = next(Path(scratch).glob("uv-*.whl"))
        shutil.unpack_archive(wheel, scratch, "zip")
        program = next(Path(scratch).rglob("uv.exe"), None)
        if program is None:
            raise BuildError(f"{wheel.name} holds no uv.exe")
        shutil.copy2(program, payload / "uv.exe")


def pack(payload: Path, output: Path) -> Path:
    """Makes the setup program of a payload; returns its path."""
    makensis = shutil.which("makensis")
    if makensis is None:
        raise BuildError("makensis is not here; on Debian and Ubuntu: sudo apt install nsis")
    for name in ("uv.exe", "packages", "installer", "pyproject.toml"):
        if not (payload / name).exists():
            raise BuildError(f"{payload} is no payload: it has no {name}")
    output.mkdir(parents=True, exist_ok=True)
    setup = output.resolve() / f"obs-stylizer-{version()}-setup.exe"
    kilobytes = sum(path.stat().st_size for path in payload.rglob("*") if path.is_file()) // 1024
    run(
        makensis,
        *("-V2", "-INPUTCHARSET", "UTF8"),
        f"-DVERSION={version()}",
        f"-DPYTHON={PYTHON}",
        f"-DPAYLOAD={payload.resolve()}",
        f"-DKILOBYTES={kilobytes}",
        f"-DOUTPUT={setup}",
        SCRIPT,
    )
    return setup


def pip(*arguments: str | Path) -> None:
    """Runs pip."""
    run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def uv(*arguments: str | Path) -> None:
    """Runs uv."""
    program = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if program is None:
        raise BuildError("uv is not here; get it with: pip install uv")
    run(program, "--quiet", *arguments)


def run(*command: str | Path) -> None:
    """Runs a program.

    Raises:
        BuildError: it failed; what it said stands above.
    """
    words = [os.fspath(word) for word in command]
    if subprocess.run(words, check=False).returncode != 0:
        raise BuildError(f"this failed, as told above: {' '.join(words[:6])} …")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
