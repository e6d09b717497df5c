"""The supervisor: starts the worker, watches it, and puts a fresh one in its place."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, Literal

from obs_stylizer.clock import Clock
from obs_stylizer.daemon.launch import worker_context
from obs_stylizer.daemon.restart_policy import RestartPolicy
from obs_stylizer.daemon.worker import runs_on_cpu, worker_main
from obs_stylizer.inference.session import Provider
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.messages import (
    AdapterTried,
    ChangeSource,
    Event,
    GpuGivenUp,
    LogLine,
    PresetFailed,
    PresetShown,
    Request,
    SetBypass,
    SetStrength,
    SetStyles,
    ShowPreset,
    SourceFailed,
    SourceLost,
    SourceOpened,
    Stop,
    WorkerConfig,
    WorkerFailed,
    WorkerLost,
    WorkerStarted,
)
from obs_stylizer.settings import WorkerSettings

log = logging.getLogger(__name__)

State = Literal["starting", "running", "waiting", "stopped"]

_POLL_SECONDS: Final = 0.1
_LEAVE_SECONDS: Final = 2.5
_SLOWER_BY: Final = 5.0


class Supervisor:
    """Keeps one worker alive and gives each new one the requests that still hold.

    Args:
        config: how a worker is started.
        tell: hears every event; called on the supervisor's thread, must not block.
    """

    def __init__(
        self,
        config: WorkerConfig,
        mailbox: SharedMailbox,
        settings: WorkerSettings,
        tell: Callable[[Event], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._mailbox = mailbox
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._policy = RestartPolicy(settings.gpu_failures)
        self._lock = threading.Lock()
        self._standing: dict[type[Request], Request] = {}
        self._good_request: ShowPreset | None = None
        self._pipe: Connection | None = None
        self._process: BaseProcess | None = None
        self._pid: int | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._on_gpu = False
        self._why = ""
        self._frame_seconds = 0.0
        self._running_since: float | None = None
        self.state: State = "starting"
        self.restarts = 0

    def start(self) -> None:
        """Start the first worker."""
        self._thread.start()

    def request(self, request: Request) -> None:
        """Pass a request on, now and to every later worker until a newer one replaces it."""
        with self._lock:
            if isinstance(request, ShowPreset):
                # A new preset comes with a strength of its own.
                self._standing.pop(SetStrength, None)
                self._standing.pop(SetStyles, None)
            self._standing[type(request)] = request
            self._send(request)

    @property
    def pid(self) -> int | None:
        """Process number of the worker there is, if any."""
        return self._pid

    def stop(self) -> None:
        """End the worker and watch no more."""
        self._stopping.set()
        with self._lock:
            self._send(Stop())
        if self._thread.ident is not None:
            self._thread.join()

    def _send(self, request: Request) -> None:
        if self._pipe is None:
            return
        try:
            self._pipe.send(request)
        except (OSError, ValueError):
            log.debug("the worker is gone; it gets its requests when it is back")

    def _run(self) -> None:
        while not self._stopping.is_set() and self.state != "stopped":
            self._start_worker()
            reason = self._watch()
            self._end_worker()
            if self._stopping.is_set():
                break
            self._after_failure(reason)
        self.state = "stopped"

    def _start_worker(self) -> None:
        self.state = "starting"
        self._why = ""
        self._on_gpu = False
        self._running_since = None
        self._mailbox.beat(0.0)
        context = worker_context()
        ours, theirs = context.Pipe()
        process = context.Process(
            target=worker_main, args=(self._config, theirs), name="obs-stylizer worker"
        )
        process.start()
        theirs.close()
        with self._lock:
            self._process, self._pipe, self._pid = process, ours, process.pid
            for request in self._standing.values():
                if isinstance(request, ShowPreset):
                    request = replace(request, crossfade_ms=0.0)
                self._send(request)
        self._tell(WorkerStarted(process.pid or 0, self.restarts))

    def _watch(self) -> str:
        """Return why the worker ended or had to be ended."""
        process, pipe = self._process, self._pipe
        assert process is not None
        assert pipe is not None
        began = self._clock.now()
        while not self._stopping.is_set():
            for ready in wait([pipe, process.sentinel], _POLL_SECONDS):
                if ready is pipe and not self._hear(pipe):
                    process.join(1.0)
                    return self._why or _exit_reason(process.exitcode)
            if not process.is_alive() and not pipe.poll():
                return self._why or _exit_reason(process.exitcode)
            silent = self._silence(began)
            if silent:
                return silent
        return "stopped"

    def _silence(self, began: float) -> str:
        beat, now = self._mailbox.counters().beat, self._clock.now()
        if beat <= 0:
            limit = self._settings.start_seconds
            return f"it did not start within {limit:.0f} s" if now - began > limit else ""
        if self._running_since is None:
            self._running_since = now
            self.state = "running"
        limit = max(self._settings.hang_seconds, _SLOWER_BY * self._frame_seconds)
        return f"it gave no sign of life for {limit:.1f} s" if now - beat > limit else ""

    def _hear(self, pipe: Connection) -> bool:
        """Take one event off the pipe; False when the pipe has ended."""
        try:
            event: Event = pipe.recv()
        except (EOFError, OSError):
            return False
        if isinstance(event, LogLine):
            logging.getLogger(event.name).log(event.level, "%s", event.text)
            return True
        if isinstance(event, WorkerFailed):
            self._why = str(event.error)
            self._on_gpu = self._on_gpu or event.on_gpu
        elif isinstance(event, PresetShown):
            self._remember(event)
            self._frame_seconds = event.frame_seconds
            runs_on = event.runs_on
            self._on_gpu = runs_on is not None and not runs_on_cpu(runs_on.provider, runs_on.device)
        elif isinstance(event, AdapterTried):
            self._on_gpu = self._on_gpu or event.on_gpu
        elif isinstance(event, PresetFailed):
            self._forget(event)
        elif isinstance(event, SourceOpened):
            self._config = replace(self._config, source=event.source)
        if isinstance(event, SourceOpened | SourceLost | SourceFailed):
            with self._lock:
                self._standing.pop(ChangeSource, None)
        self._tell(event)
        return True

    def _remember(self, event: PresetShown) -> None:
        with self._lock:
            request = self._standing.get(ShowPreset)
            if isinstance(request, ShowPreset) and request.request_id == event.request_id:
                self._good_request = request

    def _forget(self, event: PresetFailed) -> None:
        """Give a later worker the last preset that could be loaded, not this one."""
        with self._lock:
            request = self._standing.get(ShowPreset)
            if not isinstance(request, ShowPreset) or request.request_id != event.request_id:
                return
            if self._good_request is None:
                del self._standing[ShowPreset]
            else:
                self._standing[ShowPreset] = self._good_request

    def _end_worker(self) -> None:
        process = self._process
        assert process is not None
        if self._stopping.is_set():
            process.join(_LEAVE_SECONDS)
        if process.is_alive():
            process.kill()
        process.join()
        with self._lock:
            if self._pipe is not None:
                self._pipe.close()
            self._pipe = self._process = self._pid = None
        process.close()

    def _after_failure(self, reason: str) -> None:
        ran_for = 0.0 if self._running_since is None else self._clock.now() - self._running_since
        decision = self._policy.failed(ran_for, on_gpu=self._on_gpu)
        self.restarts += 1
        self.state = "waiting"
        log.warning("the worker is lost: %s; the next one starts in %.1f s", reason, decision.pause)
        self._tell(WorkerLost(reason, decision.pause))
        if decision.give_up_gpu:
            self._give_up_gpu()
        self._stopping.wait(decision.pause)

    def _give_up_gpu(self) -> None:
        action = self._settings.on_gpu_failure
        log.error(
            "THE GPU FAILED %d TIMES IN A ROW: %s",
            self._settings.gpu_failures,
            {
                "cpu": "going on with the CPU",
                "bypass": "going on with the plain picture",
                "stop": "the standby picture stays; start again when the GPU is well",
            }[action],
        )
        self._on_gpu = False
        if action == "stop":
            self.state = "stopped"
        else:
            session = replace(self._config.session, provider=Provider.CPU, device="")
            self._config = replace(self._config, session=session)
            if action == "bypass":
                self._standing[SetBypass] = SetBypass(bypass=True)
        self._tell(GpuGivenUp(self._settings.gpu_failures, action))


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"it was ended by signal {-code}"
    return f"it ended with code {code}"
