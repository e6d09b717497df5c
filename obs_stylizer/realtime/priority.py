"""A little more right to the processor for the threads that keep the picture on air.

And none for those that only wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import platform
import sys
import threading
from pathlib import Path
from typing import Final

import cv2

log = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 0.0005
"""How long Python lets one thread run before another that waits gets its turn. The usual five
milliseconds would make a tick late by as much."""

_NICER: Final = 11
_INSTEAD_OF_REAL_TIME: Final = -15
_AUTOGROUP: Final = Path("/proc/self/autogroup")
_LEAST_NICE: Final = -20
_WINDOWS_TIME_CRITICAL: Final = 15

_CORES_A_THREAD: Final = 4

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
_SLICE_NANOSECONDS: Final = 200_000


class _SchedulingAttributes(ctypes.Structure):
    """The kernel's ``struct sched_attr``, first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def take_low_priority() -> None:
    """Let this process give way to whatever else wants the processor, but never starve."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
        else:
            psutil.Process().nice(19)


def take_lowest_priority() -> None:
    """Let this process run only when no other program wants the processor.

    As far as the system knows how; for work beside a picture on air.
    """
    take_low_priority()
    if sys.platform == "linux":
        # Below nice 19: it gets what is left over, and gives way at once.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def leave_real_time() -> None:
    """Let this process, if it was started as a real-time one, go on ahead of ordinary ones only.

    For the worker, which keeps all cores busy. As a real-time process it would run in turns of a
    tenth of a second with the threads that send the picture and what those wait for, and starve
    the rest of the machine until Linux takes 50 ms of every second away from all of them.

    Where Linux shares the processor among sessions first (autogroup), as desktops do, a nice value
    counts among the processes of one session only; the session then goes ahead of others as well.
    """
    if not sys.platform.startswith("linux"):
        return
    if os.sched_getscheduler(0) not in (os.SCHED_FIFO, os.SCHED_RR):
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, _INSTEAD_OF_REAL_TIME)
        _AUTOGROUP.write_text(str(_INSTEAD_OF_REAL_TIME), "ascii")


def limit_opencv_threads() -> None:
    """Let OpenCV take one thread for each four cores, in this process.

    Its threads wait for their next piece of work busily. On two cores and at 60 frames a second
    that took half a core from the generator, and a frame was ready no sooner.
    """
    cv2.setNumThreads(max(1, (os.cpu_count() or 1) // _CORES_A_THREAD))


def raise_thread_priority() -> bool:
    """Ask for the calling thread to be woken ahead of programs that use all cores.

    Linux: a short time slice, which everybody may ask for and which, from kernel 6.12, lets a
    thread that wakes interrupt one with a longer slice at once; and a lower nice value, which
    root may have and users with a nice limit (RLIMIT_NICE). Windows: time-critical, from the
    documentation of SetThreadPriority, not run. macOS is not asked.

    Returns:
        Whether the system granted any of it.
    """
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        return bool(kernel.SetThreadPriority(kernel.GetCurrentThread(), _WINDOWS_TIME_CRITICAL))
    if not sys.platform.startswith("linux"):
        return False
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        return _raise_real_time()
    nicer = _lower_nice_value()
    return _shorten_slice() or nicer


def _raise_real_time() -> bool:
    """Go one step above the rest of a process that was started as a real-time one."""
    policy = os.sched_getscheduler(0)
    step = min(os.sched_getparam(os.getpid()).sched_priority + 1, os.sched_get_priority_max(policy))
    try:
        os.sched_setscheduler(0, policy, os.sched_param(step))
    except OSError as error:
        log.debug("%s is no step above the rest: %s", threading.current_thread().name, error)
        return False
    return True


def _lower_nice_value() -> bool:
    try:
        # Reckoned from the process's own, which whoever started it may have set.
        own = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(_LEAST_NICE, own - _NICER))
    except OSError as error:
        log.debug("no lower nice value for %s: %s", threading.current_thread().name, error)
        return False
    return True


def _shorten_slice() -> bool:
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    attributes = _SchedulingAttributes(
        size=ctypes.sizeof(_SchedulingAttributes), nice=nice, runtime=_SLICE_NANOSECONDS
    )
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(ctypes.c_long(number), 0, ctypes.byref(attributes), 0) == 0:
        return True
    log.debug("no shorter time slice: %s", os.strerror(ctypes.get_errno()))
    return False
