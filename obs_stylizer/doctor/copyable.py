"""Commands as a user can copy them into a terminal of this machine."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from obs_stylizer import __version__


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


def installer(*words: str) -> str | None:
    """The command that starts the installer, where it is: in a checkout, or beside what it made."""
    for folder in (Path(__file__).parents[2], Path(sys.prefix).parent):
        script = folder / "installer" / "install.py"
        if script.is_file():
            return command("py" if sys.platform == "win32" else "python3", str(script), *words)
    return None


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


def reinstall_program() -> str:
    """The command that installs this program once more, from where it was installed before."""
    return reinstall("--no-deps", _origin() or f"obs_stylizer-{__version__}-py3-none-any.whl")


def _origin() -> str:
    """The wheel or folder that the program was installed from; "" if it is gone or unknown."""
    try:
        noted = metadata.distribution("obs-stylizer").read_text("direct_url.json") or "{}"
        address = urlsplit(json.loads(noted).get("url", ""))
    except (metadata.PackageNotFoundError, ValueError):
        return ""
    path = url2pathname(address.path)
    return path if address.scheme == "file" and Path(path).exists() else ""


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
