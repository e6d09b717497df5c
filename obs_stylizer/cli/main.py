"""Entry point. Imports as little as possible: the worker process imports this module too."""

from __future__ import annotations

import sys

from obs_stylizer.cli.encoding import fit_streams
from obs_stylizer.cli.home import ensure_home


def main() -> None:
    """Run the command line and leave with its exit code: 0, 1 (failed) or 2 (bad usage)."""
    fit_streams()
    ensure_home()
    if sys.argv[1:2] == ["ctl"]:
        # Keys and buttons are bound to it, so it does not wait for what the others need.
        from obs_stylizer.cli.ctl import run_ctl

        sys.exit(run_ctl(sys.argv[2:]))
    try:
        from obs_stylizer.cli.app import run_command_line
    except ImportError as error:
        from obs_stylizer.cli.doctor import explain_broken_import

        sys.exit(explain_broken_import(error, sys.argv[1:]))
    sys.exit(run_command_line(sys.argv[1:]))
