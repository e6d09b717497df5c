"""One worker process as the supervisor sees it: its pipe, whether it lives, and how it is ended.

What ``multiprocessing`` says of a process that a fork server made is what the fork server told;
when that is killed, a worker that is well counts as dead. The system is therefore asked itself.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing.process
import select
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, Protocol

import psutil

from obs_stylizer.daemon.launch import end_fork_server, prepare_launching, worker_context
from obs_stylizer.errors import WorkerError
from obs_stylizer.realtime.events import Event
from obs_stylizer.realtime.requests import Request, WorkerConfig

log = logging.getLogger(__name__)

WorkerMain = Callable[[WorkerConfig, Connection], None]

_KILL_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02
_LAST_WORDS: Final = 200
_FORK_SERVER_LOST: Final = 255
"""Exit code that multiprocessing makes up for a process of a fork server that is gone."""


class WorkerHandle(Protocol):
    """What the supervisor needs of a worker."""

    @property
    def pid(self) -> int:
        """Its process number."""

    def send(self, request: Request) -> bool:
        """Pass a request on, without waiting; False if the worker does not take it."""

    def receive(self, timeout: float) -> Event | None:
        """Return the next event, or None if none comes in ``timeout`` seconds.

        Raises:
            WorkerError: the worker has ended, and all that it told was received.
        """

    def end(self, leave_seconds: float) -> bool:
        """Let it leave for that long, then kill it; False if it cannot even be killed."""

    def last_events(self) -> list[Event]:
        """Return what it told before it ended and nobody has received yet."""

    def close(self) -> None:
        """Let go of the pipe; what is sent later goes nowhere."""


class WorkerProcess:
    """See :class:`WorkerHandle`. One thread receives and ends; any may send."""

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        self._pid = process.pid or 0
        self._lock = threading.Lock()
        self._closed = False
        self._waits_for: list[Connection | int] = [pipe, process.sentinel]
        self._system: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):
            self._system = psutil.Process(self._pid)

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._pid

    def send(self, request: Request) -> bool:
        """See :class:`WorkerHandle`."""
        with self._lock:
            if self._closed:
                return True
            if not _is_writable(self._pipe):
                return False
            try:
                self._pipe.send(request)
            except (OSError, ValueError):
                log.debug("the worker is gone; a later one is told what it needs")
            return True

    def receive(self, timeout: float) -> Event | None:
        """See :class:`WorkerHandle`."""
        for ready in wait(self._waits_for, timeout):
            if ready is self._pipe:
                return self._receive()
        if not self._is_alive() and not self._pipe.poll():
            raise WorkerError(self._exit_reason())
        return None

    def _receive(self) -> Event:
        try:
            event: Event = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(1.0)
            raise WorkerError(self._exit_reason()) from None
        except Exception as error:
            # Half of a message, from a process that is falling apart.
            raise WorkerError(f"it told what cannot be understood: {error!r}") from error
        return event

    def last_events(self) -> list[Event]:
        """See :class:`WorkerHandle`."""
        events: list[Event] = []
        with contextlib.suppress(WorkerError, OSError):
            while len(events) < _LAST_WORDS and self._pipe.poll():
                events.append(self._receive())
        return events

    def end(self, leave_seconds: float) -> bool:
        """See :class:`WorkerHandle`."""
        if leave_seconds > 0:
            self._process.join(leave_seconds)
        if self._is_alive() and self._system is not None:
            with contextlib.suppress(psutil.Error):
                self._system.kill()
        end = time.monotonic() + _KILL_SECONDS
        while self._is_alive():
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def close(self) -> None:
        """Let go of the pipe; what is sent later goes nowhere."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._pipe.close()
        try:
            self._process.close()
        except ValueError:
            # It cannot be ended, or the fork server does not tell of its end. At the end of
            # Python, multiprocessing would wait for it for ever.
            getattr(multiprocessing.process, "_children", set()).discard(self._process)

    def _is_alive(self) -> bool:
        code = self._process.exitcode
        if code is not None and code != _FORK_SERVER_LOST:
            return False
        if code is not None and len(self._waits_for) > 1:
            # The fork server is gone, and with it what would tell of the end: only the pipe does.
            self._waits_for = [self._pipe]
            prepare_launching()
        if self._system is None:
            return code is None
        try:
            # A fork server that was stopped leaves the dead lying about.
            return self._system.is_running() and self._system.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def _exit_reason(self) -> str:
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"it was ended by signal {-code}"
        if code is None or code == _FORK_SERVER_LOST:
            return "it has ended"
        return f"it ended with code {code}"


def launch_worker(main: WorkerMain, config: WorkerConfig, seconds: float) -> WorkerProcess:
    """Start a worker.

    Args:
        main: what it runs.
        config: what it is given.
        seconds: after which a fork server that does not answer is replaced.

    Raises:
        WorkerError: it cannot be started now; another try may succeed.
    """
    context = worker_context()
    try:
        ours, theirs = context.Pipe()
    except OSError as error:
        raise WorkerError(f"it cannot be given a pipe: {error}") from error
    process = context.Process(target=main, args=(config, theirs), name="obs-stylizer worker")
    # A fork server that was stopped never answers; ending it ends the wait for it.
    watchdog = threading.Timer(seconds, end_fork_server)
    watchdog.daemon = True
    try:
        watchdog.start()
        process.start()
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        ours.close()
        raise WorkerError(f"it cannot be started: {error!r}") from error
    finally:
        watchdog.cancel()
        theirs.close()
    return WorkerProcess(process, ours)


def _is_writable(pipe: Connection) -> bool:
    """Whether a request can be written without waiting for the other side to read."""
    if sys.platform == "win32":
        return True
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLOUT)
    return bool(poll.poll(0))
