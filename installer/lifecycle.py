"""install, upgrade, uninstall: the program for one user, apart from any checkout."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import autostart
import installation
import launchers
import lock
from environment import Environment
from places import PROGRAM, Places, places
from progress import SetupError, say

ROOT = Path(__file__).resolve().parent.parent


def install(arguments: Sequence[str]) -> int:
    """Installs the program, or repairs what is installed."""
    options = _install_options(arguments)
    there = places()
    if there.home.resolve() == ROOT:
        raise SetupError(
            "this is the installed copy of the installer, which has nothing to install from.\n"
            "  Call installer/install.py install in a checkout or an unpacked release."
        )
    before = read_manifest(there)
    if before:
        say(f"obs-stylizer {before['version']} is installed in {there.home}; installing it anew.")
    _install(there, with_autostart=options.autostart or autostart.is_enabled(there))
    return 0


def upgrade(arguments: Sequence[str]) -> int:
    """Puts this version in the place of the installed one; settings, presets, autostart stay."""
    argparse.ArgumentParser(prog="install.py upgrade", description=upgrade.__doc__).parse_args(
        arguments
    )
    there = places()
    before = read_manifest(there)
    if not before:
        raise SetupError("nothing is installed that could be upgraded; use: install.py install")
    if there.home.resolve() == ROOT:
        raise SetupError(
            "this is the installed copy of the installer itself, which knows no newer version.\n"
            "  Get the new version, and call installer/install.py upgrade in there."
        )
    say(f"Upgrading obs-stylizer {before['version']} to {version_here()}.")
    _install(there, with_autostart=autostart.is_enabled(there))
    return 0


def uninstall(arguments: Sequence[str]) -> int:
    """Removes the program. Settings, presets and recordings stay unless told otherwise."""
    parser = argparse.ArgumentParser(prog="install.py uninstall", description=uninstall.__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with-presets",
        action="store_true",
        help="remove the configuration, your own presets and your own models too",
    )
    parser.add_argument(
        "--with-recordings",
        action="store_true",
        help="remove the folders of recordings and snapshots too, unless you chose others",
    )
    options = parser.parse_args(arguments)
    there = places()
    removed = things_to_remove(there, options.with_presets, options.with_recordings)
    if not removed:
        say("Nothing of obs-stylizer is installed for this user.")
        return 0
    say("This will be removed:")
    for path in removed:
        say(f"    {path}")
    kept = [p for p in (there.settings, there.recordings, there.snapshots) if p.exists()]
    kept = [path for path in kept if path not in removed]
    if kept:
        say("This stays:")
        for path in kept:
            say(f"    {path}")
    if not options.yes and not _confirmed():
        say("Nothing was removed.")
        return 1
    _refuse_while_running(there)
    autostart.disable(there)
    for path in removed:
        _remove(path, spare=[] if options.with_presets else [there.settings])
    say("obs-stylizer is removed.")
    return 0


def _install_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="install.py install", description=install.__doc__)
    parser.add_argument(
        "--autostart", action="store_true", help="start the daemon with your desktop session"
    )
    return parser.parse_args(arguments)


def _install(there: Places, *, with_autostart: bool) -> None:
    there.home.mkdir(parents=True, exist_ok=True)
    environment = Environment(ROOT, there.home)
    with lock.held(environment.lock_file, say) as descriptor:
        was_running = autostart.stop(there)
        _refuse_while_running(there)
        # Without it the installation counts as unfinished.
        there.manifest.unlink(missing_ok=True)
        installation.install(environment, (), descriptor)
        made = launchers.write_launcher(there, environment)
        made += launchers.write_menu_entry(there, environment)
        if with_autostart:
            made += autostart.enable(there, environment)
        _copy_installer(there)
        write_manifest(there, made)
        if was_running:
            autostart.start(there)
    _tell(there, with_autostart)


def _copy_installer(there: Places) -> None:
    """Keeps the installer beside what it has installed, so that it can be removed without us."""
    copy = there.home / "installer"
    if there.home.resolve() == ROOT:
        return
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(
        ROOT / "installer", copy, ignore=shutil.ignore_patterns("__pycache__", "windows")
    )
    shutil.copy2(ROOT / "pyproject.toml", there.home / "pyproject.toml")


def _tell(there: Places, with_autostart: bool) -> None:
    say(f"obs-stylizer {version_here()} is installed in {there.home}.")
    advice = launchers.advice_on_path(there, os.environ.get("PATH", ""))
    if advice:
        say(advice)
    say(f"  start it:       {PROGRAM} run")
    say(f"  what is wrong?  {PROGRAM} doctor")
    if with_autostart and sys.platform == "linux":
        say(f"  now, not later: systemctl --user start {PROGRAM}")
    copy = shlex.quote(str(there.home / "installer" / "install.py"))
    say(f"  remove it:      python3 {copy} uninstall")
    say(f"  a virtual camera, if you have none: python3 {copy} virtual-camera")
    say(f"  a style on one source of OBS alone: {PROGRAM} obs setup --filter SOURCE")


def version_here() -> str:
    """The version that this installer comes with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def read_manifest(there: Places) -> dict[str, object]:
    """What was installed; empty if nothing was, or not to the end."""
    try:
        manifest = json.loads(there.manifest.read_text("utf-8"))
        return manifest if isinstance(manifest, dict) and "version" in manifest else {}
    except (OSError, ValueError):
        return {}


def write_manifest(there: Places, made: Sequence[Path]) -> None:
    """Marks the installation as finished."""
    manifest = {"version": version_here(), "made": [str(path) for path in made]}
    draft = there.manifest.with_suffix(".draft")
    draft.write_text(json.dumps(manifest, indent=1), "utf-8")
    draft.replace(there.manifest)


def things_to_remove(there: Places, with_presets: bool, with_recordings: bool) -> list[Path]:
    """Everything that an uninstallation takes away, as far as it exists."""
    own = [there.launcher, there.menu_entry, there.autostart, there.cache, there.home]
    wanted = [*own, *there.remembered]
    found = [path for path in wanted if path.exists() and _is_ours(path, there)]
    if with_presets:
        found.append(there.settings)
    if with_recordings:
        found += [there.recordings, there.snapshots]
    return [path for path in dict.fromkeys(found) if path.exists()]


def _is_ours(path: Path, there: Places) -> bool:
    known = (there.home, there.cache, there.autostart, *there.remembered)
    if path in known or path.suffix == ".lnk":
        return True
    try:
        return launchers.MARK in path.read_text("utf-8", "replace")
    except OSError:
        return False


def _remove(path: Path, spare: Sequence[Path]) -> None:
    if any(other.is_relative_to(path) for other in spare):
        raise SetupError(f"{path} holds your settings, and is left")
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(
            f"{path} could not be removed: {error.strerror}. Call this again."
        ) from error


def _confirmed() -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        say("Nobody is there to be asked. With --yes it is done unasked.")
        return False
    print("Remove it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _refuse_while_running(there: Places) -> None:
    running = _running_from(Environment(ROOT, there.home).folder)
    if running:
        raise SetupError(
            f"obs-stylizer is running (process {', '.join(map(str, running))}). End it first."
        )


def _running_from(folder: Path) -> list[int]:
    """The processes that run in an environment. On Windows locked files will tell by themselves."""
    if sys.platform == "win32":
        return []
    try:
        done = subprocess.run(
            ["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=False
        )
    except OSError:
        return []  # a container without ps
    found = []
    for line in done.stdout.splitlines():
        number, _, command = line.strip().partition(" ")
        if command.startswith(f"{folder}{os.sep}") and int(number) != os.getpid():
            found.append(int(number))
    return found
