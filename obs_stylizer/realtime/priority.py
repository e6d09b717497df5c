"""A little more right to the processor for the threads that keep the picture on air."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Final

log = logging.getLogger(__name__)

_NICE: Final = -11
_WINDOWS_TIME_CRITICAL: Final = 15
SWITCH_SECONDS: Final = 0.0005
"""How long Python lets one thread run before another that waits gets its turn. The usual five
milliseconds would make a tick late by as much."""


def raise_thread_priority() -> bool:
    """Ask for the calling thread to be woken ahead of programs that use all cores (games).

    Returns:
        Whether the system granted it. Linux does so for root and for users with a nice limit
        (RLIMIT_NICE), as many desktops give them for sound; Windows does for everybody (from the
        documentation of SetThreadPriority, not run); macOS is not asked.
    """
    try:
        if sys.platform == "win32":
            import ctypes

            kernel = ctypes.windll.kernel32
            return bool(kernel.SetThreadPriority(kernel.GetCurrentThread(), _WINDOWS_TIME_CRITICAL))
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            return True
    except OSError as error:
        log.debug("no raised priority for %s: %s", threading.current_thread().name, error)
    return False
