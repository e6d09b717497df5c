"""The supervisor: starts the worker, watches it, and puts a fresh one in its place.

It carries requests to the worker and events from it, and knows nothing of presets. Its thread
must live as long as the daemon: whatever fails in it is logged, and it goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from obs_stylizer.clock import Clock
from obs_stylizer.daemon.restart_policy import RestartPolicy
from obs_stylizer.daemon.worker import worker_main
from obs_stylizer.daemon.worker_process import WorkerHandle, launch_worker
from obs_stylizer.errors import WorkerError
from obs_stylizer.inference.session import Provider
from obs_stylizer.realtime.events import (
    AdapterTried,
    Event,
    GpuGivenUp,
    LogLine,
    PresetShown,
    SourceOpened,
    WorkerFailed,
    WorkerLost,
    WorkerStarted,
)
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.requests import Request, Stop, WorkerConfig
from obs_stylizer.settings import WorkerSettings

log = logging.getLogger(__name__)

State = Literal["starting", "running", "waiting", "stopped"]

_POLL_SECONDS: Final = 0.1
_LEAVE_SECONDS: Final = 2.5
_LAUNCH_SECONDS: Final = 5.0
_LONGEST_LAUNCH_SECONDS: Final = 60.0
_SLOWER_BY: Final = 5.0


class Supervisor:
    """Keeps one worker alive.

    Args:
        config: how a worker is started.
        tell: hears every event; called on the supervisor's thread, must not block.
        launch: starts a worker, which may take so many seconds; raises WorkerError where that
            fails.
    """

    def __init__(
        self,
        config: WorkerConfig,
        mailbox: SharedMailbox,
        settings: WorkerSettings,
        tell: Callable[[Event], None],
        clock: Clock,
        launch: Callable[[WorkerConfig, float], WorkerHandle] | None = None,
    ) -> None:
        self._config = config
        self._mailbox = mailbox
        self._settings = settings
        self._tell = tell
        self._clock = clock
        self._launch = launch or _launch
        self._policy = RestartPolicy(settings.gpu_failures)
        self._worker: WorkerHandle | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._on_gpu = False
        self._why = ""
        self._replace_because = ""
        self._frame_seconds = 0.0
        self._launch_seconds = _LAUNCH_SECONDS
        self._running_since: float | None = None
        self.state: State = "starting"
        self.restarts = 0

    def start(self) -> None:
        """Start the first worker."""
        self._thread.start()

    def request(self, request: Request) -> None:
        """Pass a request to the worker there is, if any. Any thread; never blocks."""
        worker = self._worker
        if worker is not None and not worker.send(request):
            self._replace_because = "it does not take what it is asked for"

    def replace_worker(self, reason: str) -> None:
        """End the worker and start another. Any thread; returns at once."""
        self._replace_because = reason

    @property
    def pid(self) -> int | None:
        """Process number of the worker there is, if any."""
        worker = self._worker
        return None if worker is None else worker.pid

    def stop(self, timeout: float | None = None) -> bool:
        """End the worker and watch no more; False if that takes longer than ``timeout`` s."""
        self._stopping.set()
        self.request(Stop())
        if self._thread.ident is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set() and self.state != "stopped":
            try:
                reason = self._one_worker()
            except WorkerError as error:
                reason = str(error)
            except Exception as error:
                log.exception("the supervisor failed")
                reason = f"{type(error).__name__}: {error}"
            try:
                self._end_worker()
                if not self._stopping.is_set():
                    self._after_failure(reason)
            except Exception:
                log.exception("the supervisor failed")
                self._stopping.wait(1.0)
        self.state = "stopped"

    def _one_worker(self) -> str:
        """Start a worker and watch it; return why it ended or has to be ended."""
        self.state = "starting"
        self._why = self._replace_because = ""
        self._on_gpu = False
        self._running_since = None
        self._mailbox.beat(0.0)
        began = self._clock.now()
        # A machine that was too busy for it in that time gets more the next time.
        self._launch_seconds = min(_LONGEST_LAUNCH_SECONDS, 2 * self._launch_seconds)
        worker = self._worker = self._launch(self._config, self._launch_seconds)
        self._launch_seconds = _LAUNCH_SECONDS
        self._tell(WorkerStarted(worker.pid, self.restarts))
        try:
            while not self._stopping.is_set():
                event = worker.receive(_POLL_SECONDS)
                if event is not None:
                    self._take(event)
                reason = self._replace_because or self._silence(began)
                if reason:
                    return reason
        except WorkerError as error:
            return self._why or str(error)
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

    def _take(self, event: Event) -> None:
        if isinstance(event, LogLine):
            logging.getLogger(event.name).log(event.level, "%s", event.text)
            return
        if isinstance(event, WorkerFailed):
            self._why = str(event.error)
            self._on_gpu = self._on_gpu or event.on_gpu
        elif isinstance(event, PresetShown):
            self._frame_seconds = event.frame_seconds
            self._on_gpu = event.runs_on is not None and not event.runs_on.on_cpu
        elif isinstance(event, AdapterTried):
            self._on_gpu = self._on_gpu or event.on_gpu
        elif isinstance(event, SourceOpened):
            self._config = replace(self._config, source=event.source)
        self._tell(event)

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            if not worker.end(_LEAVE_SECONDS if self._stopping.is_set() else 0.0):
                # It hangs in the system itself, and dies when that lets go of it.
                log.error("worker %d cannot be ended; going on without it", worker.pid)
            for event in worker.last_events():
                self._take(event)
        finally:
            worker.close()

    def _after_failure(self, reason: str) -> None:
        ran_for = 0.0 if self._running_since is None else self._clock.now() - self._running_since
        decision = self._policy.failed(ran_for, on_gpu=self._on_gpu)
        self.restarts += 1
        self.state = "waiting"
        log.warning("the worker is lost: %s; the next one starts in %.1f s", reason, decision.pause)
        self._tell(WorkerLost(reason, decision.pause, self._on_gpu))
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
        self._tell(GpuGivenUp(self._settings.gpu_failures, action))


def _launch(config: WorkerConfig, seconds: float) -> WorkerHandle:
    return launch_worker(worker_main, config, seconds)
