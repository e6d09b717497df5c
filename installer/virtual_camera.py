"""A virtual camera: set up on Linux, explained on Windows and macOS.

Whoever is asked for root's password sees beforehand, line for line, what is going to be run.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from progress import SetupError, say

if TYPE_CHECKING:
    import v4l2loopback

WINDOWS = """OBS Studio brings a virtual camera: install it from https://obsproject.com; no more.
It exists only once. To send OBS's own program and our picture at the same time, install
Unity Capture as well: download https://github.com/schellingb/UnityCapture, run
Install.bat in its folder Install, then start
    obs-stylizer run --sink "virtual-camera:Unity Video Capture"
Without any of them:
    obs-stylizer run --sink http
and in OBS a Media Source with the input that “obs-stylizer panel --show” prints"""

MACOS = """macOS 13 or newer and OBS Studio 30 or newer are needed: their virtual camera is a system
extension, which current programs accept.
  1. Move OBS into the folder Applications: macOS loads the extension from nowhere else.
  2. Start OBS, and in it “Start Virtual Camera” once; macOS says that it blocked an extension.
  3. Allow it: System Settings > General > Login Items & Extensions > Camera Extensions
     (before macOS 15: Privacy & Security, at the bottom), and start the Mac anew if it says so.
  4. Stop OBS's virtual camera: it takes one sender at a time, and that is going to be us.
Without it:
    obs-stylizer run --sink http
and in OBS a Media Source with the input that “obs-stylizer panel --show” prints"""


def set_up(arguments: Sequence[str]) -> int:
    """Sets up two virtual cameras on Linux; tells what is to be done elsewhere."""
    parser = argparse.ArgumentParser(
        prog="install.py virtual-camera",
        description="Two virtual cameras by v4l2loopback: one for us, one for OBS.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--show", action="store_true", help="show the commands and do nothing")
    parser.add_argument("--remove", action="store_true", help="undo what this has set up")
    options = parser.parse_args(arguments)
    if sys.platform != "linux":
        print(WINDOWS if sys.platform == "win32" else MACOS)
        return 0
    # Not at the top: it asks for groups and accounts as only POSIX systems have them.
    import v4l2loopback

    system = v4l2loopback.look(user())
    lines = v4l2loopback.removal(system) if options.remove else v4l2loopback.setting_up(system)
    for warning in v4l2loopback.warnings(system):
        say(f"Mind: {warning}")
    if not lines:
        say("There is nothing to do." if options.remove else "Two virtual cameras are set up.")
        return 0
    print("These commands are needed, as root:\n", flush=True)
    for line in lines:
        print(f"    {line}", flush=True)
    print(flush=True)
    if options.show:
        return 0
    if not options.yes and not _confirmed():
        say("Nothing was changed. You can also run them by hand.")
        return 1
    run_as_root(lines)
    return _tell(system, removed=options.remove)


def user() -> str:
    """Whose account it is for, also where this was started by sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def run_as_root(lines: Sequence[str]) -> None:
    """Runs exactly the lines that were shown; the first that fails is the last."""
    script = "\n".join(lines)
    command = ["sh", "-e", "-c", script]
    if os.geteuid() != 0:
        sudo = shutil.which("sudo") or shutil.which("doas")
        if sudo is None:
            raise SetupError("there is neither sudo nor doas; run the commands by hand, as root")
        command = [sudo, *command]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        raise SetupError(
            f"the commands above ended with code {done.returncode}; what failed is told there.\n"
            "  The same call goes on from here."
        )


def _tell(system: v4l2loopback.System, *, removed: bool) -> int:
    if removed:
        say("The virtual cameras are gone for good after the next start of the machine.")
        return 0
    import v4l2loopback

    devices = v4l2loopback.devices()
    if not devices:
        raise SetupError(
            "the module is loaded, but no device of its is there; see: sudo dmesg | tail"
        )
    say(f"Virtual cameras: {', '.join(devices)}. They come back whenever the machine starts.")
    if not system.is_in_group:
        say("Log out and in again, so that you may open them.")
    return 0


def _confirmed() -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        say("Nobody is there to be asked. With --yes they are run unasked.")
        return False
    print("Run them? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
