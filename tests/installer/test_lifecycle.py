"""Installing, upgrading and removing the program for one user, for real, on a tiny project."""

import configparser
import os
import plistlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import autostart
import launchers
import places as places_module
import pytest
from environment import Environment
from places import Places, places

from tests.installer.tiny_project import PYPROJECT, Project, make_project

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the places of Linux")

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$HOME/systemctl.log"
case "$*" in *is-active*) exit 3;; esac
"""


class Account:
    """A user's account: a home of its own, in which the installer is called."""

    def __init__(self, project: Project, home: Path) -> None:
        self.project = project
        self.home = home
        home.mkdir()
        systemctl = project.tools / "systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)

    @property
    def data(self) -> Path:
        return self.home / ".local" / "share" / "obs-stylizer"

    @property
    def launcher(self) -> Path:
        return self.home / ".local" / "bin" / "obs-stylizer"

    @property
    def unit(self) -> Path:
        return self.home / ".config" / "systemd" / "user" / "obs-stylizer.service"

    def variables(self) -> dict[str, str]:
        variables = self.project.variables(HOME=str(self.home))
        return {key: value for key, value in variables.items() if not key.startswith("XDG_")}

    def call(
        self, *arguments: str, installer: Path | None = None, answer: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        script = installer or self.project.root / "installer" / "install.py"
        return subprocess.run(
            [sys.executable, str(script), *arguments],
            env=self.variables(),
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def start(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Start the program as the user's shell does."""
        return subprocess.run(
            ["obs-stylizer", *arguments],
            env={**self.variables(), "PATH": f"{self.launcher.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
        )

    def packages(self) -> set[str]:
        return {path.name for path in self.data.glob("environment/lib/*/*/*.dist-info")}

    def everything(self) -> set[str]:
        """Whatever is ours in the account; other programs leave things there too."""
        files = (path for path in self.home.rglob("*obs-stylizer*/**/*") if path.is_file())
        singles = (path for path in self.home.rglob("obs-stylizer*") if path.is_file())
        return {str(path.relative_to(self.home)) for path in (*files, *singles)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """An account with the program installed, and nothing else."""
    folder = tmp_path_factory.mktemp("account")
    account = Account(make_project(folder), folder / "höme with blanks")
    done = account.call("install")
    assert done.returncode == 0, done.stderr
    assert "obs-stylizer 1.0 is installed" in done.stderr
    return account


@pytest.fixture
def account(installed: Account) -> Iterator[Account]:
    """The same, for tests that change it."""
    yield installed
    again = installed.call("install")
    assert again.returncode == 0, again.stderr
    installed.unit.unlink(missing_ok=True)


def test_it_runs_without_the_checkout_that_it_came_from(installed: Account) -> None:
    hidden = installed.project.root.with_name("hidden")
    installed.project.root.rename(hidden)
    try:
        done = installed.start("run", "a b", "--help")
    finally:
        hidden.rename(installed.project.root)
    assert done.returncode == 7, done.stderr
    assert done.stdout.endswith(" cpu run a b --help\n")


def test_the_menu_entry_starts_it(installed: Account) -> None:
    entry = installed.home / ".local" / "share" / "applications" / "obs-stylizer.desktop"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(entry, "utf-8")
    command = parser["Desktop Entry"]["Exec"]
    # No backslash, quote or percent sign is in it here, so the shell reads it as a desktop does.
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert done.stdout.endswith(" cpu run\n")


def test_an_installation_is_not_started_with_the_session_unasked(installed: Account) -> None:
    assert not installed.unit.exists()


def test_autostart_makes_a_unit_that_systemd_understands(account: Account) -> None:
    assert account.call("install", "--autostart").returncode == 0
    assert "enable obs-stylizer.service" in (account.home / "systemctl.log").read_text()
    if shutil.which("systemd-analyze") is not None:
        done = subprocess.run(
            ["systemd-analyze", "--user", "--man=no", "verify", account.unit],
            env={**account.variables(), "XDG_RUNTIME_DIR": str(account.home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "obs-stylizer" not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr
    # It stays when the program is installed or upgraded again.
    account.unit.write_text("# made by the installer of obs-stylizer\nold")
    assert account.call("install").returncode == 0
    assert "ExecStart" in account.unit.read_text()


def test_an_upgrade_takes_the_new_version_and_keeps_what_is_the_users(
    account: Account, tmp_path: Path
) -> None:
    settings = account.home / ".config" / "obs-stylizer" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("fps: 30\n")
    newer = make_project(tmp_path)
    (newer.root / "pyproject.toml").write_text(PYPROJECT.replace("1.0", "2.0"))
    daemon = newer.root / "source" / "daemon.py"
    daemon.write_text(daemon.read_text().replace('"daemon"', '"newer daemon"'))
    done = account.call("upgrade", installer=newer.root / "installer" / "install.py")
    assert done.returncode == 0, done.stderr
    assert "Upgrading obs-stylizer 1.0 to 2.0" in done.stderr
    assert account.start("run").stdout.startswith("newer daemon")
    assert settings.read_text() == "fps: 30\n"
    ours = [name for name in account.packages() if name.startswith("obs_stylizer")]
    assert ours == ["obs_stylizer-2.0.dist-info"]
    shutil.rmtree(settings.parent)


@pytest.mark.slow
def test_a_second_runtime_is_removed_by_the_next_installation(account: Account) -> None:
    pip = [str(account.data / "environment" / "bin" / "python"), "-m", "pip", "--quiet"]
    subprocess.run(
        [*pip, "install", "onnxruntime-gpu"], env=account.project.variables(), check=True
    )
    done = account.call("install")
    assert "removing onnxruntime-gpu" in done.stderr
    runtimes = {name for name in account.packages() if name.startswith("onnxruntime")}
    assert runtimes == {"onnxruntime-1.0.dist-info"}


def test_nothing_is_changed_under_a_running_program(installed: Account) -> None:
    program = [str(installed.data / "environment" / "bin" / "python"), "-c", "input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as running:
        for command in (["install"], ["uninstall", "--yes"]):
            done = installed.call(*command)
            assert done.returncode == 1
            assert f"obs-stylizer is running (process {running.pid})" in done.stderr
        running.kill()
    assert installed.start("run").returncode == 7


def test_a_launcher_that_is_not_ours_is_left(account: Account) -> None:
    ours = account.launcher.read_text()
    account.launcher.write_text("#!/bin/sh\necho mine\n")
    done = account.call("install")
    assert "is left as it is" in done.stderr
    assert account.launcher.read_text() == "#!/bin/sh\necho mine\n"
    account.launcher.write_text(ours)


def test_an_upgrade_from_the_installed_copy_says_what_is_missing(installed: Account) -> None:
    copy = installed.data / "installer" / "install.py"
    for command, words in (("upgrade", "no newer version"), ("install", "nothing to install from")):
        done = installed.call(command, installer=copy)
        assert done.returncode == 1
        assert words in done.stderr


def test_an_uninstallation_asks_and_takes_everything_but_what_is_the_users(
    tmp_path: Path, installed: Account
) -> None:
    # Another account of the same project, so that the shared one stays whole.
    account = Account(installed.project, tmp_path / "home")
    assert account.call("install", "--autostart").returncode == 0
    own = [
        account.home / ".config" / "obs-stylizer" / "presets" / "mine.yaml",
        account.home / "Videos" / "obs-stylizer" / "show.mkv",
    ]
    remembered = [
        account.home / ".cache" / "obs-stylizer" / "probes.json",
        account.home / ".local" / "state" / "obs-stylizer" / "screen.token",
        account.home / ".local/share/applications" / "io.github.obs_stylizer.ObsStylizer.desktop",
    ]
    for path in (*own, *remembered):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    copy = account.data / "installer" / "install.py"
    refused = account.call("uninstall", installer=copy)
    assert refused.returncode == 1
    assert "Nothing was removed" in refused.stderr
    assert account.launcher.exists()

    done = account.call("uninstall", "--yes", installer=copy)
    assert done.returncode == 0, done.stderr
    assert "disable --now obs-stylizer.service" in (account.home / "systemctl.log").read_text()
    assert account.everything() == {str(path.relative_to(account.home)) for path in own}
    nothing = account.call("uninstall", "--yes")
    assert "Nothing of obs-stylizer is installed" in nothing.stderr

    told = account.call("uninstall", "--yes", "--with-presets", "--with-recordings")
    assert told.returncode == 0, told.stderr
    assert account.everything() == set()


def test_an_upgrade_of_nothing_is_refused(tmp_path: Path, installed: Account) -> None:
    account = Account(installed.project, tmp_path / "home")
    done = account.call("upgrade")
    assert done.returncode == 1
    assert "nothing is installed" in done.stderr


@pytest.mark.slow
def test_an_installation_cut_short_is_taken_up(tmp_path: Path, installed: Account) -> None:
    account = Account(installed.project, tmp_path / "home")
    process = subprocess.Popen(
        [sys.executable, str(installed.project.root / "installer" / "install.py"), "install"],
        env=account.variables(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    until = time.monotonic() + 60
    while not account.packages() and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert not (account.data / "manifest.json").exists()
    assert account.call("install").returncode == 0
    assert account.start("run").returncode == 7


@pytest.mark.parametrize("word", ["plain", "with blank", 'quo"te', "50%", "a$b", "back\\slash"])
def test_words_of_a_unit_are_what_systemd_makes_of_them(word: str) -> None:
    quoted = autostart.unit_quoted(word)
    assert (quoted[0], quoted[-1]) == ('"', '"')
    inner = quoted[1:-1]
    # As systemd.service(5) has it: specifiers, then variables, then C escapes.
    read = inner.replace("%%", "%").replace("$$", "$")
    assert read.replace('\\"', '"').replace("\\\\", "\\") == word


def test_the_agent_of_macos_is_a_property_list() -> None:
    there = replace(places(), autostart=Path("/x/io.github.obs-stylizer.plist"))
    read = plistlib.loads(plistlib.dumps(autostart.agent(there, ["/a b/python", "run"])))
    assert read["Label"] == "io.github.obs-stylizer"
    assert read["ProgramArguments"] == ["/a b/python", "run"]


@pytest.mark.parametrize("platform", ["win32", "darwin", "linux"])
def test_settings_never_lie_in_what_is_removed(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    there = places_module.places()
    for kept in (there.settings, there.recordings, there.snapshots):
        for removed in (there.home, there.cache):
            assert not kept.is_relative_to(removed)


def test_the_desktop_says_where_videos_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("XDG_VIDEOS_DIR", raising=False)
    assert places().recordings == tmp_path / "Videos" / "obs-stylizer"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "user-dirs.dirs").write_text('XDG_VIDEOS_DIR="$HOME/Filme"\n')
    assert places().recordings == tmp_path / "Filme" / "obs-stylizer"


def test_the_shell_is_told_where_to_look(tmp_path: Path) -> None:
    there: Places = replace(places(), launcher=tmp_path / "bin" / "obs-stylizer")
    assert launchers.advice_on_path(there, f"/usr/bin:{tmp_path / 'bin'}") == ""
    assert str(tmp_path / "bin") in launchers.advice_on_path(there, "/usr/bin")


def test_without_systemd_the_desktop_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = replace(
        places(),
        settings=tmp_path / "config" / "obs-stylizer",
        autostart=tmp_path / "config" / "systemd" / "user" / "obs-stylizer.service",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    autostart.enable(there, Environment(tmp_path, tmp_path))
    entry = tmp_path / "config" / "autostart" / "obs-stylizer.desktop"
    assert "Exec=" in entry.read_text()
    assert autostart.is_enabled(there)
    autostart.disable(there)
    assert not entry.exists()
