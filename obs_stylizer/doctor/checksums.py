"""Whether the bundled files are those that were delivered."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

FOLDERS: Final = ("onnx", "presets")
"""What is bundled."""

_GIT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing.

    Attributes:
        compared_with: in words, where the right hashes come from; "" where there are none.
        compared: how many files were.
        changed: files that are not as they were delivered.
        missing: files that are gone.
    """

    compared_with: str = ""
    compared: int = 0
    changed: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()


def compare_bundled(distribution: str, root: Path) -> Comparison:
    """Compare the bundled models and presets with what was delivered.

    An installed package lists the hash of every file of its own; a checkout has git's.

    Args:
        distribution: the installed package, as pip names it.
        root: the folder that the bundled folders lie in.
    """
    hashes = dict(_listed_by_the_package(distribution, root))
    if hashes:
        missing = tuple(path for path in hashes if not path.is_file())
        changed = tuple(
            path for path, wanted in hashes.items() if path not in missing and _hash(path) != wanted
        )
        return Comparison("the package's own list", len(hashes), changed, missing)
    return _compare_with_git(root)


def _listed_by_the_package(distribution: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the bundled files in ``root`` and their SHA-256 as the list has it."""
    bundled = {root / folder for folder in FOLDERS}
    try:
        package = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return
    # Not by package.files: from Python 3.12 on it leaves out the files that are gone.
    for row in csv.reader((package.read_text("RECORD") or "").splitlines()):
        name, digest = (*row, "", "")[:2]
        path = Path(str(package.locate_file(name)))
        in_bundle = not bundled.isdisjoint(path.parents)
        if in_bundle and digest.startswith("sha256="):
            yield path, digest.removeprefix("sha256=")


def _hash(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _compare_with_git(root: Path) -> Comparison:
    if shutil.which("git") is None:
        return Comparison()
    try:
        listed = _git(root, "ls-files", "-z", "--", *FOLDERS)
        status = _git(root, "status", "--porcelain", "-z", "--untracked-files=no", "--", *FOLDERS)
    except (OSError, subprocess.SubprocessError):
        return Comparison()
    files = [name for name in listed.split("\0") if name]
    if not files:
        return Comparison()
    entries = [entry for entry in status.split("\0") if len(entry) > 3]
    missing = tuple(root / entry[3:] for entry in entries if "D" in entry[:2])
    changed = tuple(root / entry[3:] for entry in entries if "D" not in entry[:2])
    return Comparison("the last commit", len(files), changed, missing)


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments],
        # Another git at work in there must not be held up.
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        capture_output=True,
        text=True,
        timeout=_GIT_SECONDS,
        check=True,
    ).stdout
