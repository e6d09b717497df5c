#!/usr/bin/env python3
"""Sets obs-stylizer up on this machine: to try it, to work on it, or to keep it.

    python3 installer/install.py run [ARGUMENTS OF obs-stylizer run]
    python3 installer/install.py test [ARGUMENTS OF pytest]
    python3 installer/install.py install [--autostart]
    python3 installer/install.py upgrade
    python3 installer/install.py uninstall [--with-presets] [--with-recordings]
    python3 installer/install.py virtual-camera

Needs nothing but Python itself. For `run` and `test` everything goes into the
folder .venv beside pyproject.toml; removing that folder undoes it. `install`
puts a copy into your account, and `uninstall` takes it away again. A call that
was cut short is taken up again by the next one.
"""

from __future__ import annotations

import os
import sys

OLDEST_PYTHON = (3, 11)


def too_old_message(version: tuple[int, ...], oldest: tuple[int, int] = OLDEST_PYTHON) -> str:
    """What to tell the user of a Python that is too old; empty if it is not."""
    if tuple(version[:2]) >= oldest:
        return ""
    return (
        "obs-stylizer needs Python {}.{} or newer, and this is Python {}. "
        "Get it from https://www.python.org/downloads/ or from your system's packages, "
        "then start this script with it.".format(*oldest, ".".join(map(str, version[:3])))
    )


def open_standard_input() -> None:
    """Gives this process an empty standard input if it was started with none.

    Otherwise the next file to be opened would take its place, and every child
    process would read from that file.
    """
    if sys.stdin is None and os.name == "posix":
        descriptor = os.open(os.devnull, os.O_RDONLY)
        if descriptor == 0:
            os.set_inheritable(descriptor, True)
        else:
            os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    message = too_old_message(sys.version_info[:3])
    if message:
        print(message, file=sys.stderr)
        return 1
    open_standard_input()
    # Not at the top: an old Python would fail in there before it could be told so.
    import commands

    return commands.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
