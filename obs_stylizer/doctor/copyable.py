"""Commands as a user can copy them into a terminal of this machine."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def command(*words: str) -> str:
    """Join words to one line, quoted as this platform's shell needs it."""
    if sys.platform == "win32":
        return subprocess.list2cmdline(words)
    return shlex.join(words)


def program(*words: str) -> str:
    """The command that starts this program, by its whole path where the shell would not find it."""
    name = "obs-stylizer"
    if shutil.which(name) is None:
        beside = Path(python()).with_name(f"{name}.exe" if sys.platform == "win32" else name)
        name = str(beside) if beside.exists() else name
    return command(name, *words)


def python() -> str:
    """The Python of the program's environment, as the first word of a command."""
    return sys.executable


def install(*requirements: str) -> str:
    """The command that installs packages into the program's environment."""
    return command(*_installer("install"), *requirements)


def reinstall(*requirements: str) -> str:
    """The command that installs packages once more, whatever is there."""
    again = "--reinstall" if _installer("install")[0] != python() else "--force-reinstall"
    return command(*_installer("install"), again, *requirements)


def uninstall(*names: str) -> str:
    """The command that removes packages from the program's environment."""
    words = _installer("uninstall")
    return command(*words, *(["-y"] if words[0] == python() else []), *names)


def exchange(old: Sequence[str], new: str) -> tuple[str, ...]:
    """The commands that remove all of ``old``, if any, and then install ``new``."""
    return (*((uninstall(*old),) if old else ()), install(new))


def _installer(action: str) -> list[str]:
    """pip where the environment has it; else uv, which sets such environments up."""
    uv = shutil.which("uv")
    if importlib.util.find_spec("pip") is None and uv is not None:
        return [uv, "pip", action, "--python", python()]
    return [python(), "-m", "pip", action]
