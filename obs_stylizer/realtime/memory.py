"""Memory on the live path: freed pictures are kept, and the cycle collector has little to do."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
from typing import Final

log = logging.getLogger(__name__)

# From glibc's malloc.h: blocks above the first go straight to the kernel, and what is free at the
# top above the second goes back to it.
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
_LARGEST_BLOCK: Final = 32 << 20
_KEPT_FREE: Final = 64 << 20


def settle_objects() -> None:
    """Take what was made so far out of Python's cycle collector.

    Modules and classes live as long as the process. Looking through all of them again and again,
    which holds up every thread for some ten milliseconds, would cost ticks.
    """
    gc.collect()
    gc.freeze()


def give_back_what_is_free() -> None:
    """Give glibc's free memory back to the system: compiling a generator leaves much of it."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        log.debug("this C library has no malloc_trim")


def keep_freed_pictures() -> bool:
    """Tell glibc to reuse blocks of a picture's size; return whether it was told.

    A picture of 1280x720 is 2.7 MB, above glibc's first threshold, so every one of them would
    cost 675 page faults. Other systems' allocators have no such switch and need none.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        log.debug("this C library has no mallopt")
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK) and mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE)
    )
