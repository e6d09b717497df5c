"""How worker processes are made without holding up the daemon.

To start a program, Python suspends itself, lock and all, until the new process has begun; on a busy
machine that costs ticks. On Linux a small server process is therefore started before going on air.
It has imported what a worker needs and forks workers on request, so the daemon never forks and a
fresh worker is ready the sooner. Elsewhere workers are started the ordinary way.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Final

import psutil

log = logging.getLogger(__name__)

_PRELOADED: Final = [
    "obs_stylizer.daemon.worker",
    "obs_stylizer.sources.video_file",
    "obs_stylizer.sources.camera",
    "openvino",
]


def worker_context() -> ForkServerContext | SpawnContext:
    """Return the context that workers are made in."""
    if not sys.platform.startswith("linux"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Nothing of these starts a thread or touches a driver when it is imported.
    context.set_forkserver_preload(_PRELOADED)
    return context


def prepare_launching() -> None:
    """Start the server process, where there is one, before time matters."""
    if sys.platform.startswith("linux"):
        from multiprocessing import forkserver, resource_tracker

        # numpy's linear algebra, which nothing here uses, would start a thread in the server.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        worker_context()
        resource_tracker.ensure_running()
        forkserver.ensure_running()


def end_fork_server() -> None:
    """Kill the server process, which does not answer; the next worker starts another."""
    if not sys.platform.startswith("linux"):
        return
    from multiprocessing import forkserver

    pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if pid is not None:
        log.warning("the process that starts workers does not answer and is replaced")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wake_stopped_children() -> None:
    """Let processes of ours that somebody has stopped go on, so that they can end with us."""
    if not hasattr(signal, "SIGCONT"):
        return
    try:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_STOPPED:
                    child.resume()
    except psutil.Error:
        log.debug("the children cannot be listed", exc_info=True)
