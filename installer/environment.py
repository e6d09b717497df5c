"""The private environment: where it is, and whether it is fit for use."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import machine

WINDOWS = sys.platform == "win32"

# Raise it when what is installed changes without a change of pyproject.toml.
STAMP_FORMAT = 1

# The base packages of ONNX Runtime share one folder, so two of them break each
# other. Plug-in providers (onnxruntime-ep-…) are no base packages.
BASE_RUNTIMES = frozenset(
    {
        "onnxruntime",
        "onnxruntime-directml",
        "onnxruntime-gpu",
        "onnxruntime-openvino",
        "onnxruntime-qnn",
        "onnxruntime-rocm",
        "onnxruntime-training",
    }
)


@dataclass(frozen=True)
class Stamp:
    """What a finished installation was made for. Another one is needed if this changes."""

    root: str
    python: str
    pyproject: str
    nvidia: str
    extras: tuple[str, ...]
    runtime: str
    format: int = STAMP_FORMAT


@dataclass(frozen=True)
class Environment:
    """A private environment for the program whose sources are at `root`.

    Without a `home` it is the checkout's own, `.venv`, and uses the sources where they are. With
    one it is that of a user's installation, and needs no checkout once it is made.
    """

    root: Path
    home: Path | None = None

    @property
    def place(self) -> Path:
        """The folder that it belongs to; where that is moved, it must be made anew."""
        return self.home or self.root

    @property
    def folder(self) -> Path:
        """The folder that holds everything."""
        return self.home / "environment" if self.home else self.root / ".venv"

    @property
    def scripts(self) -> Path:
        """The folder of its programs."""
        return self.folder / ("Scripts" if WINDOWS else "bin")

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.scripts / ("python.exe" if WINDOWS else "python")

    @property
    def pyproject(self) -> Path:
        """What tells the needed packages."""
        return self.root / "pyproject.toml"

    @property
    def stamp_file(self) -> Path:
        """Written last of all, so its absence tells an unfinished installation."""
        return self.folder / "installed.json"

    @property
    def lock_file(self) -> Path:
        """Held while installing. Outside of the folder, which may have to be made anew."""
        return self.place / ".install-state.json"

    @property
    def log_file(self) -> Path:
        """What pip did and said."""
        return self.home / "install.log" if self.home else self.root / "build" / "install.log"

    @property
    def site_packages(self) -> Path:
        """Where its packages are."""
        if WINDOWS:
            return self.folder / "Lib" / "site-packages"
        return self.folder / "lib" / f"python{self.python_version()}" / "site-packages"

    def configuration(self) -> dict[str, str]:
        """The contents of pyvenv.cfg; empty if there is none."""
        try:
            lines = (self.folder / "pyvenv.cfg").read_text("utf-8").splitlines()
        except OSError:
            return {}
        pairs = (line.partition("=") for line in lines if "=" in line)
        return {key.strip(): value.strip() for key, _, value in pairs}

    def python_version(self) -> str:
        """The version it was made for, as 3.11; empty if that is unknown."""
        configuration = self.configuration()
        version = configuration.get("version") or configuration.get("version_info", "")
        found = re.match(r"\d+\.\d+", version)
        return found.group(0) if found else ""

    def script(self, name: str) -> list[str]:
        """The command that starts one of its programs."""
        if WINDOWS:
            return [str(self.scripts / f"{name}.exe")]
        # Through its Python: the kernel refuses the first line of a script in a very deep folder.
        return [str(self.python), str(self.scripts / name)]

    def variables(self) -> dict[str, str]:
        """This process's variables as they are where the environment is activated."""
        variables = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
        variables["VIRTUAL_ENV"] = str(self.folder)
        variables["PATH"] = os.pathsep.join([str(self.scripts), variables.get("PATH", os.defpath)])
        return variables

    def distributions(self) -> dict[str, str]:
        """The installed distributions, by normalized name, with their versions."""
        try:
            names = os.listdir(self.site_packages)  # noqa: PTH208 - many entries, on every start
        except OSError:
            return {}
        pairs = (name[: -len(".dist-info")].split("-", 1) for name in names if _is_metadata(name))
        return {normalized(pair[0]): pair[1] for pair in pairs}

    def base_runtimes(self) -> frozenset[str]:
        """The base packages of ONNX Runtime that are installed; more than one is a fault."""
        return BASE_RUNTIMES.intersection(self.distributions())

    def fault(self) -> str:
        """Why it cannot be used at all and must be made anew; empty if nothing is seen.

        Only looks at files, so that it can be asked on every start.
        """
        configuration = self.configuration()
        if not configuration:
            return "it has no pyvenv.cfg"
        if not self.python.exists():
            return "the Python that it was made from is gone"
        if not Path(configuration.get("home", "")).is_dir():
            return "the folder of the Python that it was made from is gone"
        made_for = self.python_version()
        actual = re.fullmatch(r"python(\d+\.\d+)", Path(os.path.realpath(self.python)).name)
        if actual and actual.group(1) != made_for:
            return f"it was made for Python {made_for}, which is now {actual.group(1)}"
        stamp = self.read_stamp()
        if stamp is not None and stamp.root != str(self.place):
            return f"the folder was moved here from {stamp.root}"
        return ""

    def read_stamp(self) -> Stamp | None:
        """What the finished installation was made for; None without one."""
        try:
            fields = json.loads(self.stamp_file.read_text("utf-8"))
            if fields.get("format") != STAMP_FORMAT:
                return None
            return Stamp(**{**fields, "extras": tuple(fields["extras"])})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write_stamp(self, stamp: Stamp) -> None:
        """Marks the installation as finished; whole or not at all."""
        draft = self.stamp_file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(stamp), indent=1), "utf-8")
        draft.replace(self.stamp_file)


def _is_metadata(name: str) -> bool:
    # A name that starts with ~ is what an interrupted pip left behind.
    return name.endswith(".dist-info") and "-" in name[:-10] and not name.startswith("~")


def normalized(name: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def stamp_for(environment: Environment, extras: Sequence[str], runtime: str) -> Stamp:
    """The stamp that an installation made now would get."""
    return Stamp(
        root=str(environment.place),
        python=environment.python_version(),
        pyproject=hashlib.sha256(environment.pyproject.read_bytes()).hexdigest(),
        nvidia=machine.nvidia_trace(),
        extras=tuple(sorted(extras)),
        runtime=runtime,
    )
