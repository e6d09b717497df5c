"""The commands of install.py, and how their errors are shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from environment import Environment
from progress import SetupError, say
from setup_check import ensure

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "obs-stylizer"

USAGE = """usage: python3 installer/install.py COMMAND [ARGUMENTS]

  run   set up what is missing, then start the daemon;
        ARGUMENTS go to `obs-stylizer run` (try: run --help)
  test  set up what the tests need, then run every check and test;
        ARGUMENTS go to pytest (for example: test -k presets)

  install    put the program into your account, with a command and an entry in the menu;
             --autostart: start it with your desktop session
  upgrade    put this version in the place of the installed one; your settings stay
  uninstall  remove it; your presets and recordings stay unless you say otherwise
  virtual-camera
             set up what other programs see as a webcam; shows every command before it asks
"""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    command: str
    arguments: tuple[str, ...] = ()


class UsageError(Exception):
    """The command line cannot be understood."""


def parse(arguments: Sequence[str]) -> Request:
    """Reads the command line. What follows the command is handed on unread."""
    if not arguments:
        raise UsageError("no command was given")
    command, *rest = arguments
    if command in ("-h", "--help", "help"):
        return Request("help")
    if command not in COMMANDS:
        raise UsageError(f"there is no command {command!r}")
    return Request(command, tuple(rest))


def main(arguments: Sequence[str]) -> int:
    """Runs the command line; returns the exit code."""
    try:
        request = parse(arguments)
    except UsageError as error:
        print(f"install.py: {error}\n\n{USAGE}", end="", file=sys.stderr)
        return 2
    try:
        return COMMANDS[request.command](request.arguments)
    except SetupError as error:
        say(f"obs-stylizer could not be set up: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted. The same command goes on from here.")
        return 130


def show_help(_arguments: Sequence[str]) -> int:
    """Tells what commands there are."""
    print(USAGE, end="")
    return 0


def run(arguments: Sequence[str]) -> int:
    """Sets up what the daemon needs, if anything is missing, and becomes the daemon."""
    environment = Environment(ROOT)
    ensure(environment, extras=())
    return become([*environment.script(PROGRAM), "run", *arguments])


def test(arguments: Sequence[str]) -> int:
    """Sets up what the tests need and runs every check."""
    import checks
    import system_packages

    environment = Environment(ROOT)
    system_packages.provide(system_packages.FOR_TESTS)
    ensure(environment, extras=("training", "test"))
    return checks.run_all(environment, arguments)


def become(command: Sequence[str]) -> int:
    """Replaces this process by the command, so that signals reach it directly.

    Windows has no such thing: there the command is waited for, and Ctrl-C,
    which reaches both processes, is left to the command.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execv(command[0], list(command))  # noqa: S606
    import signal
    import subprocess

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call(list(command))


def install(arguments: Sequence[str]) -> int:
    """Installs the program for this user."""
    import lifecycle

    return lifecycle.install(arguments)


def upgrade(arguments: Sequence[str]) -> int:
    """Puts this version in the place of the installed one."""
    import lifecycle

    return lifecycle.upgrade(arguments)


def uninstall(arguments: Sequence[str]) -> int:
    """Removes the program of this user."""
    import lifecycle

    return lifecycle.uninstall(arguments)


def virtual_camera(arguments: Sequence[str]) -> int:
    """Sets up a virtual camera, or tells how."""
    import virtual_camera

    return virtual_camera.set_up(arguments)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "help": show_help,
    "run": run,
    "test": test,
    "install": install,
    "upgrade": upgrade,
    "uninstall": uninstall,
    "virtual-camera": virtual_camera,
}
