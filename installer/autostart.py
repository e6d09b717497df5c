"""Starting the daemon with the user's session, where that is asked for.

Linux: a systemd user unit, or the desktop's own way where there is no systemd. macOS: a launchd
agent. Windows: the registry's Run key. The last two are written from documentation and not run.
"""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from environment import Environment
from launchers import MARK, desktop_quoted
from places import PROGRAM, Places
from progress import say

UNIT = """# {mark}
[Unit]
Description=obs-stylizer: the camera as a living painting
After=graphical-session.target
PartOf=graphical-session.target
# Told once what is wrong, it is not started for ever.
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=3
# It ends in order: recordings are closed, the camera is let go.
KillSignal=SIGINT
TimeoutStopSec=10

[Install]
WantedBy=graphical-session.target
"""

DESKTOP_AUTOSTART = """[Desktop Entry]
# {mark}
Type=Application
Name=obs-stylizer
Exec={command}
"""

RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"


def enable(places: Places, environment: Environment) -> list[Path]:
    """Has the daemon started with the next session; returns the files that were made."""
    command = [*environment.script(PROGRAM), "run", "--log-level", "info"]
    if sys.platform == "win32":
        _set_run_key(command)
        return []
    if sys.platform == "darwin":
        return _enable_agent(places, command)
    if shutil.which("systemctl") is None:
        return _enable_by_desktop(places, command)
    return _enable_unit(places, command)


def disable(places: Places) -> None:
    """Stops it and undoes :func:`enable`; nothing happens where there is nothing to undo."""
    if sys.platform == "win32":
        _delete_run_key()
    elif sys.platform == "darwin":
        if places.autostart.exists():
            _run("launchctl", "unload", "-w", str(places.autostart))
            places.autostart.unlink()
    else:
        if places.autostart.exists():
            _run("systemctl", "--user", "disable", "--now", places.autostart.name)
            places.autostart.unlink()
            _run("systemctl", "--user", "daemon-reload")
        _by_desktop(places).unlink(missing_ok=True)


def is_enabled(places: Places) -> bool:
    """Whether the daemon is started with the session."""
    if sys.platform == "win32":
        return _run_key_exists()
    return places.autostart.exists() or _by_desktop(places).exists()


def stop(places: Places) -> bool:
    """Stops the daemon that the session has started; True if it was running."""
    if sys.platform != "linux" or not places.autostart.exists():
        return False
    unit = places.autostart.name
    if _run("systemctl", "--user", "is-active", "--quiet", unit) != 0:
        return False
    return _run("systemctl", "--user", "stop", unit) == 0


def start(places: Places) -> None:
    """Starts what :func:`stop` has stopped."""
    _run("systemctl", "--user", "start", places.autostart.name)


def unit_text(command: Sequence[str]) -> str:
    """The systemd unit that runs a command."""
    return UNIT.format(mark=MARK, command=" ".join(unit_quoted(word) for word in command))


def unit_quoted(word: str) -> str:
    """A word as the ExecStart line of a unit needs it."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"'


def agent(places: Places, command: Sequence[str]) -> dict[str, object]:
    """The launchd agent that runs a command."""
    log = str(places.home / "daemon.log")
    return {
        "Label": places.autostart.stem,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        # Anew after a crash, but not after it was ended.
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Interactive",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }


def _enable_unit(places: Places, command: Sequence[str]) -> list[Path]:
    _write(places.autostart, unit_text(command))
    _run("systemctl", "--user", "daemon-reload")
    if _run("systemctl", "--user", "enable", places.autostart.name) != 0:
        say("    the unit could not be enabled from here; inside of your desktop session:")
        say(f"        systemctl --user enable --now {places.autostart.name}")
    return [places.autostart]


def _enable_by_desktop(places: Places, command: Sequence[str]) -> list[Path]:
    entry = _by_desktop(places)
    quoted = " ".join(desktop_quoted(word) for word in command)
    _write(entry, DESKTOP_AUTOSTART.format(mark=MARK, command=quoted))
    return [entry]


def _by_desktop(places: Places) -> Path:
    """The entry in the desktop's own autostart folder, beside the folder of the settings."""
    return places.settings.parent / "autostart" / f"{PROGRAM}.desktop"


def _enable_agent(places: Places, command: Sequence[str]) -> list[Path]:
    places.autostart.parent.mkdir(parents=True, exist_ok=True)
    places.autostart.write_bytes(plistlib.dumps(agent(places, command)))
    _run("launchctl", "load", "-w", str(places.autostart))
    return [places.autostart]


def _set_run_key(command: Sequence[str]) -> None:
    if sys.platform == "win32":
        import winreg

        line = subprocess.list2cmdline(["cmd.exe", "/c", "start", PROGRAM, "/min", *command])
        with winreg.CreateKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
            winreg.SetValueEx(key, PROGRAM, 0, winreg.REG_SZ, line)


def _delete_run_key() -> None:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY, 0, winreg.KEY_SET_VALUE) as key:
                winreg.DeleteValue(key, PROGRAM)
        except OSError:
            return  # it was never set


def _run_key_exists() -> bool:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_CURRENT_USER, RUN_KEY) as key:
                winreg.QueryValueEx(key, PROGRAM)
        except OSError:
            return False
        return True
    return False


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _run(*command: str) -> int:
    try:
        return subprocess.run(
            list(command), capture_output=True, stdin=subprocess.DEVNULL, check=False
        ).returncode
    except OSError:
        return 127
