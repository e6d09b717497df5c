"""What the user is told while things are set up, and how a failure is told."""

from __future__ import annotations

import re
import sys
from pathlib import Path

# What is found in the log of a failed step, and what the user can do about it.
REMEDIES: tuple[tuple[str, str], ...] = (
    (r"No space left on device", "the disk is full: free some space"),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the package index's certificate is not trusted: if a proxy stands between, "
        "name its certificate in PIP_CERT",
    ),
    (
        r"NameResolutionError|NewConnectionError|ConnectTimeout|ReadTimeout|Connection refused"
        r"|Network is unreachable",
        "the package index was not reached: check the network connection, "
        "or name the proxy in HTTPS_PROXY",
    ),
    (
        r"Permission denied|PermissionError|WinError 5\b|WinError 32\b",
        "a file cannot be written: is obs-stylizer still running, "
        "or does the folder belong to another user?",
    ),
)


def say(text: str) -> None:
    """Tells the user. Standard output is left to the program that is started later."""
    print(text, file=sys.stderr, flush=True)


class SetupError(Exception):
    """Something could not be set up; the text says what, why, and what to do."""


def failure(what: str, log: Path | None) -> SetupError:
    """Describes a failed step by what its log says."""
    text = log.read_text("utf-8", "replace") if log is not None and log.is_file() else ""
    lines = [what]
    causes = re.findall(r"^(?:\S+ )?\s*ERROR: (.+)$", text, re.MULTILINE)
    if causes:
        lines.append(f"  seen: {causes[-1].strip()}")
    remedies = [remedy for pattern, remedy in REMEDIES if re.search(pattern, text)]
    if remedies:
        lines.append(f"  likely: {remedies[0]}")
    if log is not None:
        lines.append(f"  log: {log}")
    lines.append("  The same command, called again, goes on from here.")
    return SetupError("\n".join(lines))
