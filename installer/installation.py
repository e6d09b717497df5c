"""Makes the private environment and puts into it what is planned."""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import machine
import requirements
from environment import Environment, normalized, stamp_for
from progress import SetupError, failure, say

# What must be importable in the end: the parts with compiled code of their own,
# which a missing library of the system would show up in.
COMPILED_PARTS = (
    *("numpy", "cv2", "av", "onnx", "onnxruntime", "openvino"),
    *("yaml", "pydantic", "psutil", "pyvirtualcam"),
)

# Two of them report themselves to their makers when they are imported, unless told not to.
CHECK_PARTS = """
import importlib, importlib.util, os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
sys.modules["openvino_telemetry"] = None
for name in sys.argv[1:]:
    if importlib.util.find_spec(name) is None:
        continue
    try:
        module = importlib.import_module(name)
    except Exception as error:
        sys.exit(f"{name} does not start: {error}")
    if name == "onnxruntime" and not hasattr(module, "InferenceSession"):
        sys.exit("onnxruntime is there, but empty")
"""

CHECK_PIP = "import pip, sys; print('%d.%d' % sys.version_info[:2])"


def install(environment: Environment, extras: Sequence[str], lock_descriptor: int) -> None:
    """Installs everything, or goes on with what an earlier call began."""
    environment.log_file.parent.mkdir(exist_ok=True)
    environment.log_file.write_text("", "utf-8")
    before = environment.read_stamp()
    # What an earlier command needed stays, and stays up to date.
    wanted = sorted({*extras, *(before.extras if before else ())})
    Installation(environment, lock_descriptor).run(wanted)


class Installation:
    """One installation, while its lock is held."""

    def __init__(self, environment: Environment, lock_descriptor: int) -> None:
        self._environment = environment
        self._lock_descriptor = lock_descriptor

    def run(self, extras: Sequence[str]) -> None:
        """Runs all its steps. The stamp comes last: without it the next call starts again."""
        environment = self._environment
        if self._is_usable():
            environment.stamp_file.unlink(missing_ok=True)
            say(f"1/3 the private environment {environment.folder.name} is there")
        else:
            say(f"1/3 making a private environment in {environment.folder.name} …")
            self._make()
        pyproject = tomllib.loads(environment.pyproject.read_text("utf-8"))
        seen = machine.look()
        plan = requirements.plan(pyproject, extras, seen, machine.choose_runtime(seen))
        self._announce(plan)
        cleared = remove_half_installed(environment.site_packages)
        if cleared:
            say(f"    once more, since it was cut short: {', '.join(cleared)}")
        self._remove_other_runtimes(plan, cleared)
        if plan.torch is not None:
            self._install_torch(plan.torch)
        if plan.others:
            self._pip("installing the packages", "install", *self._sources(plan), *plan.others)
        self._install_project(plan.project)
        say("3/3 checking that the parts start …")
        self._check()
        runtime = plan.runtime.package if plan.runtime else ""
        environment.write_stamp(stamp_for(environment, extras, runtime))
        say("Done.")

    def _is_usable(self) -> bool:
        environment = self._environment
        if not environment.folder.exists() or environment.fault():
            return False
        answer = self._ask("-c", CHECK_PIP)
        return answer.returncode == 0 and answer.stdout.strip() == environment.python_version()

    def _make(self) -> None:
        if importlib.util.find_spec("ensurepip") is None:
            version = "{}.{}".format(*sys.version_info)
            raise SetupError(
                "this Python cannot make a private environment, a part of it is missing. "
                f"On Debian and Ubuntu: sudo apt install python{version}-venv"
            )
        # Inside of another environment, ask the Python that it was made from.
        base = getattr(sys, "_base_executable", None) or sys.executable
        done = self._run([base, "-m", "venv", "--clear", str(self._environment.folder)])
        if done.returncode != 0:
            with self._environment.log_file.open("a", encoding="utf-8") as log:
                log.write(done.stdout + done.stderr)
            raise failure("making the private environment failed", self._environment.log_file)

    def _announce(self, plan: requirements.Plan) -> None:
        say("2/3 installing what this machine needs (the first time this takes a few minutes) …")
        if plan.runtime is not None:
            say(f"    ONNX Runtime: {plan.runtime.package}, since {plan.runtime.reason}")
            if plan.runtime.extras:
                say("    with CUDA's own libraries, which take some 2.5 GB of the disk")
        if plan.torch is not None:
            say(f"    torch: {plan.torch}")

    def _remove_other_runtimes(self, plan: requirements.Plan, cleared: Sequence[str]) -> None:
        """Removes every base package but the planned one, before that one comes.

        They share a folder: of two, neither is whole, and removing one tears
        files out of the other. So if there is any other, all of them go.
        """
        if plan.runtime is None:
            return
        environment = self._environment
        found = environment.base_runtimes()
        torn = any(normalized(name).startswith("onnxruntime") for name in cleared)
        if not torn and found <= {plan.runtime.package}:
            return
        if found:
            say(f"    removing {', '.join(sorted(found))} first")
            self._pip("removing them", "uninstall", "--yes", *sorted(found))
        shutil.rmtree(environment.site_packages / "onnxruntime", ignore_errors=True)

    def _sources(self, plan: requirements.Plan) -> list[str]:
        """Where pip looks, as options: in the packages that were delivered with us, if there are.

        They were gathered for a machine without an NVIDIA GPU; CUDA comes from the package index.
        """
        delivered = self._environment.root / "packages"
        if not delivered.is_dir():
            return []
        wanted = plan.runtime.package.replace("-", "_") if plan.runtime else ""
        whole = not wanted or any(delivered.glob(f"{wanted}-*.whl"))
        return [*(["--no-index"] if whole else []), "--find-links", str(delivered)]

    def _install_project(self, name: str) -> None:
        """Installs the program: as it stands where one works on it, else a copy of its own."""
        root = self._environment.root
        if self._environment.home is None:
            how = ["--editable", str(root)]
        else:
            # Forced, since another state of the sources may bear the same version.
            built = sorted((root / "packages").glob("obs_stylizer-*.whl"))
            how = ["--force-reinstall", str(built[-1] if built else root)]
        self._pip(f"installing {name}", "install", "--no-deps", *how)

    def _install_torch(self, requirement: str) -> None:
        installed = self._environment.distributions().get("torch", "")
        if installed.partition("+")[0] == requirements.TORCH_VERSION:
            return
        if not requirement.endswith("+cpu"):
            self._pip(f"installing {requirement}", "install", requirement)
            return
        # Whoever has the build already, in a mirror or in a folder, need not go to
        # its makers for it. Without their index there would be no build at all to
        # fall back on, and that is meant: better none than gigabytes for no GPU.
        what = f"installing {requirement}"
        look_up = ("install", "--dry-run", "--no-deps", "--quiet", requirement)
        if self._ask("-m", "pip", *look_up).returncode == 0:
            self._pip(what, "install", requirement)
            return
        index = requirements.TORCH_CPU_INDEX
        self._pip(f"{what} from {index}", "install", "--extra-index-url", index, requirement)

    def _check(self) -> None:
        answer = self._ask("-c", CHECK_PARTS, *COMPILED_PARTS)
        if answer.returncode != 0:
            lines = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
            raise SetupError(
                f"{lines[-1]}\n  Removing the folder {self._environment.folder} makes the next "
                "call start from nothing."
            )

    def _pip(self, what: str, command: str, *arguments: str) -> None:
        """Runs pip, visibly; everything it does goes to the log besides."""
        # Where nobody watches, pip's lines and bars would only fill the caller's log.
        options = [] if sys.stderr.isatty() else ["--quiet"]
        if command == "install":
            options += ["--no-warn-script-location"]
            options += [] if sys.stderr.isatty() else ["--progress-bar", "off"]
        done = self._run(
            [
                *(str(self._environment.python), "-I", "-m", "pip"),
                *("--disable-pip-version-check", "--no-input"),
                *("--log", str(self._environment.log_file)),
                *(command, *options, *arguments),
            ],
            visible=True,
        )
        if done.returncode != 0:
            raise failure(f"{what} failed", self._environment.log_file)

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the environment's Python, unseen."""
        return self._run([str(self._environment.python), "-I", *arguments])

    def _run(
        self, command: Sequence[str], visible: bool = False
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                list(command),
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                # Standard output belongs to the program that is started afterwards.
                stdout=sys.stderr if visible else subprocess.PIPE,
                stderr=None if visible else subprocess.PIPE,
                text=True,
                errors="replace",
                check=False,
                # A child that outlives this process goes on holding the lock.
                pass_fds=(self._lock_descriptor,) if os.name == "posix" else (),
            )
        except OSError as error:
            return subprocess.CompletedProcess(command, 126, "", str(error))

    def _variables(self) -> dict[str, str]:
        """The user's settings of pip, less those that lead it out of the environment."""
        elsewhere = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")
        variables = self._environment.variables()
        return {key: value for key, value in variables.items() if key not in elsewhere}


def remove_half_installed(site_packages: Path) -> list[str]:
    """Makes pip forget what an interrupted pip left unfinished; returns the names.

    To pip, a distribution is there as soon as its metadata are, whatever else
    is missing. So its files are compared with its own list of them.
    """
    for leftover in site_packages.glob("~*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
    forgotten = []
    for metadata in sorted(site_packages.glob("*.dist-info")):
        if not _is_whole(metadata):
            shutil.rmtree(metadata)
            forgotten.append(metadata.name.split("-", 1)[0])
    return forgotten


def _is_whole(metadata: Path) -> bool:
    try:
        with (metadata / "RECORD").open(encoding="utf-8", newline="") as record:
            rows = [row for row in csv.reader(record) if len(row) == 3]
    except OSError:
        return False
    # Files without a hash, such as compiled ones, are remade when they are missing.
    listed = ((row[0], int(row[2])) for row in rows if row[1] and row[2].isdigit())
    for path, size in listed:
        try:
            if os.stat(os.path.join(metadata.parent, path)).st_size != size:  # noqa: PTH116, PTH118
                return False
        except OSError:
            return False
    return (metadata / "METADATA").is_file()
