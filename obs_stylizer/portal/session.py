"""What kind of desktop session this is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def is_wayland(environment: Mapping[str, str] | None = None) -> bool:
    """Whether programs run on a Wayland desktop, whose screen and keys only its portal shares.

    Args:
        environment: variables to look at; None for this process's own.
    """
    known = os.environ if environment is None else environment
    if sys.platform != "linux":
        return False
    return bool(known.get("WAYLAND_DISPLAY")) or known.get("XDG_SESSION_TYPE") == "wayland"
