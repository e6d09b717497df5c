"""The setup program for Windows, under Wine as far as Wine goes.

Wine 8 cannot start uv.exe (it lacks bcryptprimitives.dll), and no interpreter for Windows is to be
had here. So a stand-in takes uv's place: it notes how it was called, and lays down a program.
"""

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.installer.tiny_project import CHECKOUT

WINE = shutil.which("wine64") or shutil.which("wine64", path="/usr/lib/wine")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        WINE is None or shutil.which("makensis") is None, reason="needs NSIS and a 64-bit Wine"
    ),
]

STAND_IN = r"""
Target amd64-unicode
SilentInstall silent
RequestExecutionLevel user
OutFile "uv.exe"
!include "FileFunc.nsh"
!include "LogicLib.nsh"
Section
  ${GetParameters} $0
  FileOpen $1 "$EXEDIR\asked.txt" w
  FileWrite $1 $0
  FileClose $1
  ReadEnvStr $2 "UV_PYTHON_INSTALL_DIR"
  CreateDirectory "$2"
  ${If} ${FileExists} "C:\no-network"
    SetErrorLevel 1
  ${Else}
    CreateDirectory "$EXEDIR\..\environment\Scripts"
    CopyFiles /SILENT "$EXEPATH" "$EXEDIR\..\environment\Scripts\obs-stylizer.exe"
  ${EndIf}
SectionEnd
"""

RUN_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"
UNINSTALL_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\obs-stylizer"


def load_build() -> ModuleType:
    path = CHECKOUT / "installer" / "windows" / "build.py"
    spec = importlib.util.spec_from_file_location("windows_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Windows:
    """A Windows of Wine's, with a setup program in reach."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "wine"
        self.setup = make_setup(folder)
        self._variables = {
            **{key: value for key, value in os.environ.items() if key != "DISPLAY"},
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            # Neither .NET nor a browser is needed, and both would be asked for.
            "WINEDLLOVERRIDES": "mscoree=;mshtml=",
        }
        self.run("wineboot", "-i")
        self.run("winecfg", "-v", "win10")

    @property
    def drive(self) -> Path:
        return self.prefix / "drive_c"

    @property
    def local(self) -> Path:
        return next(self.drive.glob("users/*/AppData/Local"))

    @property
    def home(self) -> Path:
        return self.local / "Programs" / "obs-stylizer"

    def run(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(WINE), *map(str, command)],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def registry(self, key: str) -> str:
        return self.run("reg", "query", key).stdout

    def uninstall(self, *options: str) -> None:
        self.run(self.home / "uninstall.exe", "/S", *options)
        # It goes on in a copy of itself.
        until = time.monotonic() + 60
        while (self.home / "uninstall.exe").exists() and time.monotonic() < until:
            time.sleep(0.2)


def make_setup(folder: Path) -> Path:
    payload = folder / "payload"
    (payload / "packages").mkdir(parents=True)
    (payload / "packages" / "obs_stylizer-0-py3-none-any.whl").write_bytes(b"a wheel")
    (payload / "stand-in.nsi").write_text(STAND_IN)
    subprocess.run(["makensis", "-V1", "stand-in.nsi"], cwd=payload, check=True)
    shutil.copytree(CHECKOUT / "installer", payload / "installer")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy2(CHECKOUT / name, payload / name)
    (payload / "LICENSE").rename(payload / "LICENSE.txt")
    setup: Path = load_build().pack(payload, folder)
    return setup


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    made = Windows(tmp_path_factory.mktemp("windows"))
    yield made
    made.run("wineboot", "-k")


def test_a_silent_installation_and_its_removal(windows: Windows) -> None:
    done = windows.run(windows.setup, "/S")
    assert done.returncode == 0
    setup = windows.home / "setup"
    assert (setup / "packages" / "obs_stylizer-0-py3-none-any.whl").read_bytes() == b"a wheel"
    asked = (setup / "asked.txt").read_text("latin-1")
    assert "run --no-project --managed-python --python 3.12" in asked
    assert asked.rstrip().endswith(r'setup\installer\install.py" install')
    assert (windows.home / "python").is_dir()
    assert "DisplayVersion" in windows.registry(UNINSTALL_KEY)
    # Only if asked for.
    assert "obs-stylizer" not in windows.registry(RUN_KEY)

    own = windows.local / "obs-stylizer" / "presets" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("title: Mine")
    foreign = windows.home / "notes.txt"
    foreign.write_text("somebody's")
    windows.uninstall()
    assert own.exists()
    assert [path.name for path in windows.home.iterdir()] == ["notes.txt"]
    assert "DisplayVersion" not in windows.registry(UNINSTALL_KEY)
    foreign.unlink()
    shutil.rmtree(own.parents[1])


def test_autostart_and_settings_go_where_they_are_told_to(windows: Windows) -> None:
    assert windows.run(windows.setup, "/S", "/AUTOSTART").returncode == 0
    assert r"environment\Scripts\obs-stylizer.exe" in windows.registry(RUN_KEY)
    # Whoever had it keeps it.
    assert windows.run(windows.setup, "/S").returncode == 0
    assert "obs-stylizer.exe" in windows.registry(RUN_KEY)
    own = windows.local / "obs-stylizer" / "presets" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("title: Mine")
    windows.uninstall("/PRESETS")
    assert "obs-stylizer" not in windows.registry(RUN_KEY)
    assert not own.exists()
    assert not windows.home.exists()


def test_a_failed_last_step_is_told_and_taken_up_by_the_next_call(windows: Windows) -> None:
    (windows.drive / "no-network").write_text("")
    failed = windows.run(windows.setup, "/S", "/AUTOSTART")
    assert failed.returncode == 2
    assert (windows.home / "uninstall.exe").exists()
    # Nothing is started with Windows that is not there.
    assert "obs-stylizer" not in windows.registry(RUN_KEY)
    (windows.drive / "no-network").unlink()
    assert windows.run(windows.setup, "/S").returncode == 0
    windows.uninstall()
    assert not windows.home.exists()


def test_a_payload_that_is_none_is_refused(tmp_path: Path) -> None:
    build = load_build()
    with pytest.raises(build.BuildError, match=r"it has no uv\.exe"):
        build.pack(tmp_path, tmp_path)
