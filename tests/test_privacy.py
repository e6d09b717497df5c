"""Nothing leaves the machine: every command is watched, with an empty home, for what it does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.videos import numbered_pictures, write_video

ROOT = Path(__file__).parent.parent
OURS = "obs-stylizer"
SENDING = "connect,sendto,sendmsg,sendmmsg"
MAKING = "open,openat,creat"
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
MADE = re.compile(r'(?:open|openat|creat)\((?:AT_FDCWD, )?"(/[^"]*)".*\) += \d')
CHECK_PARTS = """
import sys; sys.path.insert(0, "installer"); sys.argv[1:] = ["onnxruntime", "openvino"]
import installation; exec(installation.CHECK_PARTS)
"""
TRAINING = """
from obs_stylizer.training import export, quantization, run_evaluation
import openvino, torch
"""


@dataclass(frozen=True)
class Watched:
    """What a program did."""

    code: int
    said: str
    addresses: list[str]
    made: list[Path]


def watch(folder: Path, *arguments: str) -> Watched:
    """Run Python with ``arguments`` and an empty home, noting whom it speaks to, what it makes."""
    home, temporary, trace = folder / "home", folder / "tmp", folder / "trace"
    home.mkdir()
    temporary.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "STYLIZER_DATA": os.environ.get("STYLIZER_DATA", ""),
        "TMPDIR": str(temporary),
    }
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-o", str(trace)]
    done = subprocess.run(
        [*strace, "-e", f"trace={SENDING},{MAKING}", sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    lines = trace.read_text("utf-8", "replace").splitlines()
    made = {path for path in home.rglob("*") if path.is_file()}
    for line in lines:
        if ("O_CREAT" in line or "creat(" in line) and (found := MADE.search(line)):
            made.add(Path(found[1]))
    known = (temporary, Path("/dev"), Path("/proc"))
    return Watched(
        done.returncode,
        done.stdout,
        ["".join(found) for line in lines for found in ADDRESS.findall(line)],
        [path for path in sorted(made) if not any(path.is_relative_to(place) for place in known)],
    )


@pytest.fixture(autouse=True)
def needs_strace() -> None:
    """Watching a program needs strace, and a machine that lets it watch."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt install strace)")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False).returncode != 0:
        pytest.skip("strace may not watch programs here")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("run --source pattern --preset ink --sink null --duration 3", 0),
        ("doctor --json", None),
        ("devices", 0),
        ("models inspect ink", 0),
        ("presets list", 0),
        ("render {clip} -o {folder}/painted.mp4 --preset ink", 0),
        ("render {clip} -o {folder}/painted.mp4 --preset ink --cluster local:1", 0),
        ("ctl --address 127.0.0.1:9 status", 1),
    ],
)
def test_a_command_speaks_to_nobody_and_leaves_only_files_of_ours(
    command: str, code: int | None, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mp4"
    if "{clip}" in command:
        write_video(clip, numbered_pictures(4))
    words = command.format(clip=clip, folder=tmp_path).split()
    assert_quiet(watch(tmp_path, "-m", "obs_stylizer", *words), tmp_path, code)


@pytest.mark.training
def test_training_speaks_to_nobody(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert_quiet(watch(tmp_path, "-c", TRAINING), tmp_path)


def test_the_installer_speaks_to_nobody_when_it_checks_what_it_installed(tmp_path: Path) -> None:
    assert_quiet(watch(tmp_path, "-c", CHECK_PARTS), tmp_path)


def assert_quiet(seen: Watched, folder: Path, code: int | None = 0) -> None:
    """Hold a program to its promise; ``code`` is that with which it must end, None for any."""
    assert code is None or seen.code == code, seen.said
    assert [address for address in seen.addresses if not is_loopback(address)] == [], seen.said
    assert [path for path in seen.made if not is_ours(path, folder)] == [], seen.said


def is_loopback(address: str) -> bool:
    """Whether an address is this machine."""
    return address.startswith("127.") or address in ("::1", "::ffff:127.0.0.1")


def is_ours(path: Path, folder: Path) -> bool:
    """Whether a file was asked for, or stands in a folder of the home that has our name."""
    home = folder / "home"
    if path.is_relative_to(home):
        return any(part.startswith(OURS) for part in path.relative_to(home).parts)
    return path.is_relative_to(folder)
