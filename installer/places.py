"""Where an installation for one user puts things, by platform.

Windows and macOS are written from their documentation; only Linux has been run by the authors.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "obs-stylizer"


@dataclass(frozen=True)
class Places:
    """The folders and files of one user's installation.

    Attributes:
        home: everything of ours: environment, installer, log.
        launcher: what the user's shell finds.
        menu_entry: what the desktop's menu shows.
        autostart: what starts the daemon after the user has logged in.
        settings: configuration, own presets and models: the user's.
        cache: what can be made again.
        recordings: the folder for recordings that is used where none is configured.
        snapshots: the same for snapshots.
        remembered: what the program keeps outside of these: its name for the desktop's portal, and
            which screen the user shared.
    """

    home: Path
    launcher: Path
    menu_entry: Path
    autostart: Path
    settings: Path
    cache: Path
    recordings: Path
    snapshots: Path
    remembered: tuple[Path, ...] = ()

    @property
    def manifest(self) -> Path:
        """Written last of all: what was installed, and what was made outside of `home`."""
        return self.home / "manifest.json"


def places() -> Places:
    """The places of this user."""
    user = Path.home()
    if sys.platform == "win32":
        return _windows(user)
    if sys.platform == "darwin":
        return _macos(user)
    return _linux(user)


def _linux(user: Path) -> Places:
    data = _folder("XDG_DATA_HOME", user / ".local" / "share")
    config = _folder("XDG_CONFIG_HOME", user / ".config")
    return Places(
        home=data / PROGRAM,
        launcher=user / ".local" / "bin" / PROGRAM,
        menu_entry=data / "applications" / f"{PROGRAM}.desktop",
        autostart=config / "systemd" / "user" / f"{PROGRAM}.service",
        settings=config / PROGRAM,
        cache=_folder("XDG_CACHE_HOME", user / ".cache") / PROGRAM,
        recordings=_media(config, "XDG_VIDEOS_DIR", user / "Videos") / PROGRAM,
        snapshots=_media(config, "XDG_PICTURES_DIR", user / "Pictures") / PROGRAM,
        remembered=(
            data / "applications" / "io.github.obs_stylizer.ObsStylizer.desktop",
            _folder("XDG_STATE_HOME", user / ".local" / "state") / PROGRAM,
        ),
    )


def _macos(user: Path) -> Places:
    library = user / "Library"
    support = library / "Application Support" / PROGRAM
    return Places(
        # Not the folder of the settings, which outlive an uninstallation.
        home=library / PROGRAM,
        launcher=user / ".local" / "bin" / PROGRAM,
        menu_entry=user / "Applications" / f"{PROGRAM}.command",
        autostart=library / "LaunchAgents" / f"io.github.{PROGRAM}.plist",
        settings=support,
        cache=library / "Caches" / PROGRAM,
        recordings=user / "Movies" / PROGRAM,
        snapshots=user / "Pictures" / PROGRAM,
    )


def _windows(user: Path) -> Places:
    local = _folder("LOCALAPPDATA", user / "AppData" / "Local")
    roaming = _folder("APPDATA", user / "AppData" / "Roaming")
    menu = roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs"
    return Places(
        home=local / "Programs" / PROGRAM,
        # This folder is on every user's path.
        launcher=local / "Microsoft" / "WindowsApps" / f"{PROGRAM}.cmd",
        menu_entry=menu / f"{PROGRAM}.lnk",
        autostart=Path(r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run", PROGRAM),
        settings=local / PROGRAM,
        cache=local / PROGRAM / "Cache",
        recordings=user / "Videos" / PROGRAM,
        snapshots=user / "Pictures" / PROGRAM,
    )


def _folder(variable: str, otherwise: Path) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if given and Path(given).is_absolute() else otherwise


def _media(config: Path, variable: str, otherwise: Path) -> Path:
    """A folder as the desktop names it, in the user's language."""
    given = os.environ.get(variable, "")
    if not given:
        try:
            lines = (config / "user-dirs.dirs").read_text("utf-8").splitlines()
        except OSError:
            return otherwise
        wanted = f"{variable}="
        given = next((line[len(wanted) :].strip('" ') for line in lines if wanted in line), "")
        given = given.replace("$HOME", str(Path.home()))
    return Path(given) if given and Path(given).is_absolute() else otherwise
