"""What a user starts the installed program with: a command, and an entry of the menu."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from environment import Environment
from places import PROGRAM, Places
from progress import say

# Whatever lacks this line was not made by us, and is left as it is.
MARK = "made by the installer of obs-stylizer"

DESKTOP_ENTRY = """[Desktop Entry]
# {mark}
Type=Application
Version=1.0
Name=obs-stylizer
GenericName=Living paintings for the webcam
Comment=Turns a camera into a living painting, as a virtual camera
Exec={command}
Icon=camera-web
Terminal=true
Categories=AudioVideo;Video;
Keywords=webcam;obs;style;
"""

SHELL_LAUNCHER = """#!/bin/sh
# {mark}
exec {command} "$@"
"""

BATCH_LAUNCHER = """@echo off\r
rem {mark}\r
{command} %*\r
"""

SHORTCUT = (
    "$link = (New-Object -ComObject WScript.Shell).CreateShortcut($args[0]); "
    "$link.TargetPath = $args[1]; $link.Arguments = 'run'; $link.Save()"
)


def write_launcher(places: Places, environment: Environment) -> list[Path]:
    """Puts the command where the shell finds it; returns what was made."""
    command = environment.script(PROGRAM)
    if sys.platform == "win32":
        text = BATCH_LAUNCHER.format(mark=MARK, command=subprocess.list2cmdline(command))
    else:
        text = SHELL_LAUNCHER.format(mark=MARK, command=shlex.join(command))
    return [places.launcher] if _write(places.launcher, text) else []


def write_menu_entry(places: Places, environment: Environment) -> list[Path]:
    """Puts an entry into the desktop's menu; returns what was made."""
    entry = places.menu_entry
    command = [*environment.script(PROGRAM), "run"]
    if sys.platform == "win32":
        return [entry] if _make_shortcut(entry, command[0]) else []
    if sys.platform == "darwin":
        text = SHELL_LAUNCHER.format(mark=MARK, command=shlex.join(command))
    else:
        quoted = " ".join(desktop_quoted(word) for word in command)
        text = DESKTOP_ENTRY.format(mark=MARK, command=quoted)
    return [entry] if _write(entry, text) else []


def desktop_quoted(word: str) -> str:
    """A word as the Exec line of a desktop entry needs it."""
    for letter in '\\"`$':
        word = word.replace(letter, f"\\{letter}")
    # The line is unescaped once as a string before it is read as a command.
    word = word.replace("\\", "\\\\").replace("%", "%%")
    return f'"{word}"'


def advice_on_path(places: Places, path: str) -> str:
    """What to do where the shell does not look in the launcher's folder; empty if it does."""
    folder = places.launcher.parent
    if str(folder) in path.split(";" if sys.platform == "win32" else ":"):
        return ""
    return (
        f"Your shell does not look into {folder} yet. Log in again, or: "
        f'export PATH="{folder}:$PATH"'
    )


def _write(path: Path, text: str) -> bool:
    try:
        there = path.read_text("utf-8", "replace")
    except OSError:
        there = MARK
    if MARK not in there:
        say(f"    {path} is there already and not ours; it is left as it is")
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text, "utf-8", newline="")
    draft.chmod(0o755)
    draft.replace(path)
    return True


def _powershell_quoted(word: str) -> str:
    doubled = word.replace("'", "''")
    return f"'{doubled}'"


def _make_shortcut(path: Path, program: str) -> bool:
    """Not run by the authors: written from the documentation of WScript.Shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            *("powershell", "-NoProfile", "-NonInteractive", "-Command"),
            f"& {{ {SHORTCUT} }} {_powershell_quoted(str(path))} {_powershell_quoted(program)}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        say(f"    no entry in the start menu: {done.stderr.strip().splitlines()[-1:]}")
    return done.returncode == 0
