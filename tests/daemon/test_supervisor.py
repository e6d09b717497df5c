"""The supervisor with scripted workers: whatever a worker does, another follows."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.daemon.supervisor import Supervisor
from obs_stylizer.errors import DeviceLostError, WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, RunsOn, SessionOptions
from obs_stylizer.realtime.events import (
    Event,
    GpuGivenUp,
    PresetShown,
    SourceOpened,
    WorkerFailed,
    WorkerLost,
    WorkerStarted,
)
from obs_stylizer.realtime.mailbox import SharedMailbox
from obs_stylizer.realtime.requests import Request, SetBypass, Stop, WorkerConfig
from obs_stylizer.settings import WorkerSettings
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec

SIZE = FrameSize(64, 32)
ON_GPU = RunsOn(Provider.CUDA, "a GPU", Precision.F16)


class ScriptedWorker:
    """Tells what it is given to tell; ``None`` for a moment in which it tells nothing."""

    def __init__(self, pid: int, *script: Event | Exception | None) -> None:
        self.pid = pid
        self._script: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
        for step in script:
            self._script.put(step)
        self.requests: list[Request] = []
        self.takes_requests = True
        self.can_be_ended = True
        self.ended = threading.Event()
        self.closed = threading.Event()
        self.last: list[Event] = []

    def tell(self, step: Event | Exception) -> None:
        self._script.put(step)

    def send(self, request: Request) -> bool:
        if self.takes_requests:
            self.requests.append(request)
        return self.takes_requests

    def receive(self, timeout: float) -> Event | None:
        try:
            step = self._script.get(timeout=0.01)
        except queue.Empty:
            return None
        if isinstance(step, Exception):
            raise step
        return step

    def end(self, leave_seconds: float) -> bool:
        self.ended.set()
        return self.can_be_ended

    def last_events(self) -> list[Event]:
        return self.last

    def close(self) -> None:
        self.closed.set()


class Stage:
    """A supervisor, and the workers that it starts one after another."""

    def __init__(self, mailbox: SharedMailbox, clock: ManualClock) -> None:
        self.clock = clock
        self.mailbox = mailbox
        self.workers: list[ScriptedWorker | Exception] = []
        self.configs: list[WorkerConfig] = []
        self.told: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.settings = WorkerSettings(hang_seconds=3.0, start_seconds=60.0, gpu_failures=2)
        config = WorkerConfig(
            mailbox=mailbox.name,
            plain_mailbox="",
            size=SIZE,
            source=SourceSpec.parse("pattern"),
            fps=None,
            paced=True,
            process_size=None,
            session=SessionOptions(),
            log_level=20,
        )
        self.supervisor = Supervisor(
            config, mailbox, self.settings, self.told.put, clock, self.launch
        )

    def launch(self, config: WorkerConfig, seconds: float) -> ScriptedWorker:
        self.configs.append(config)
        worker = self.workers.pop(0) if self.workers else ScriptedWorker(99)
        if isinstance(worker, Exception):
            raise worker
        self.mailbox.beat(self.clock.now())
        return worker

    def start(self, *workers: ScriptedWorker | Exception) -> None:
        self.workers = list(workers)
        self.supervisor.start()

    def next(self, kind: type[Event]) -> Event:
        """Return the next event of a kind; others are passed over."""
        while True:
            event = self.told.get(timeout=20)
            if isinstance(event, kind):
                return event


@pytest.fixture
def stage() -> Iterator[Stage]:
    mailbox = SharedMailbox.create(SIZE)
    stage = Stage(mailbox, ManualClock(100.0))
    yield stage
    assert stage.supervisor.stop(20)
    mailbox.close()


def test_worker_that_ends_is_followed_by_another(stage: Stage) -> None:
    first = ScriptedWorker(1, WorkerError("it was ended by signal 9"))
    stage.start(first, ScriptedWorker(2))
    assert stage.next(WorkerStarted) == WorkerStarted(1, 0)
    assert stage.next(WorkerLost) == WorkerLost("it was ended by signal 9", 0.0, on_gpu=False)
    assert stage.next(WorkerStarted) == WorkerStarted(2, 1)
    assert first.closed.is_set()


@pytest.mark.parametrize(
    "trouble",
    [
        WorkerError("it cannot be started: EOFError"),
        OSError(24, "Too many open files"),
        MemoryError(),
        RuntimeError("whatever"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_worker_that_cannot_be_started_is_tried_again(
    stage: Stage, trouble: Exception, log_errors: list[str]
) -> None:
    stage.start(trouble, ScriptedWorker(2))
    stage.next(WorkerLost)
    assert stage.next(WorkerStarted) == WorkerStarted(2, 1)
    log_errors.clear()


def test_anything_unexpected_out_of_a_worker_costs_that_worker_alone(
    stage: Stage, log_errors: list[str]
) -> None:
    first = ScriptedWorker(1, ZeroDivisionError("unpickled badly"))
    stage.start(first, ScriptedWorker(2))
    stage.next(WorkerLost)
    assert stage.next(WorkerStarted) == WorkerStarted(2, 1)
    assert first.ended.is_set()
    log_errors.clear()


def test_worker_that_cannot_be_killed_is_left_behind(stage: Stage, log_errors: list[str]) -> None:
    first = ScriptedWorker(1)
    first.can_be_ended = False
    stage.start(first, ScriptedWorker(2))
    stage.next(WorkerStarted)
    stage.supervisor.replace_worker("it hangs")
    assert stage.next(WorkerLost) == WorkerLost("it hangs", 0.0, on_gpu=False)
    assert stage.next(WorkerStarted) == WorkerStarted(2, 1)
    assert log_errors == ["obs_stylizer.daemon.supervisor: " + message(1)]
    log_errors.clear()


def message(pid: int) -> str:
    return f"worker {pid} cannot be ended; going on without it"


def test_silent_worker_is_replaced(stage: Stage) -> None:
    stage.start(ScriptedWorker(1), ScriptedWorker(2))
    stage.next(WorkerStarted)
    stage.clock.advance(3.5)
    lost = stage.next(WorkerLost)
    assert isinstance(lost, WorkerLost)
    assert lost.reason == "it gave no sign of life for 3.0 s"


def test_slow_generator_is_not_taken_for_a_hang(stage: Stage) -> None:
    slow = PresetShown(1, "slow", None, SIZE, frame_seconds=2.0)
    worker = ScriptedWorker(1, slow)
    stage.start(worker)
    stage.next(PresetShown)
    stage.clock.advance(9.0)
    worker.tell(SourceOpened(SourceSpec.parse("pattern"), SourceInfo("Bars", SIZE, 30.0)))
    stage.next(SourceOpened)
    assert stage.supervisor.restarts == 0
    stage.clock.advance(2.0)
    stage.next(WorkerLost)


def test_worker_that_takes_no_requests_is_replaced(stage: Stage) -> None:
    first = ScriptedWorker(1)
    first.takes_requests = False
    stage.start(first, ScriptedWorker(2))
    stage.next(WorkerStarted)
    stage.supervisor.request(SetBypass(bypass=True))
    lost = stage.next(WorkerLost)
    assert isinstance(lost, WorkerLost)
    assert "does not take" in lost.reason


def test_requests_reach_the_worker_there_is_and_no_later_one(stage: Stage) -> None:
    first, second = ScriptedWorker(1), ScriptedWorker(2)
    stage.start(first, second)
    stage.next(WorkerStarted)
    stage.supervisor.request(SetBypass(bypass=True))
    first.tell(WorkerError("it died"))
    stage.next(WorkerStarted)
    assert first.requests == [SetBypass(bypass=True)]
    assert second.requests == [], "who knows what holds tells it"


def test_next_worker_opens_the_source_that_was_open(stage: Stage) -> None:
    other = SourceSpec.parse("image:other.png")
    opened = SourceOpened(other, SourceInfo("other", SIZE, None))
    stage.start(ScriptedWorker(1, opened, WorkerError("it died")), ScriptedWorker(2))
    stage.next(WorkerLost)
    stage.next(WorkerStarted)
    assert [str(config.source) for config in stage.configs] == ["pattern", "image:other.png"]


def test_last_words_of_a_dead_worker_are_heard(stage: Stage) -> None:
    first = ScriptedWorker(1)
    first.last = [PresetShown(7, "last", None, SIZE)]
    stage.start(first, ScriptedWorker(2))
    stage.next(WorkerStarted)
    stage.supervisor.replace_worker("it hangs")
    assert stage.told.get(timeout=20) == first.last[0]
    assert isinstance(stage.told.get(timeout=20), WorkerLost)


def test_gpu_that_fails_in_a_row_is_given_up(stage: Stage, log_errors: list[str]) -> None:
    shown = PresetShown(1, "wave", ON_GPU, SIZE)
    failed = WorkerFailed(DeviceLostError("the device was removed"), on_gpu=True)
    workers = [
        ScriptedWorker(number, shown, failed, WorkerError("it ended with code 3"))
        for number in (1, 2)
    ]
    stage.start(*workers, ScriptedWorker(3))
    for _ in workers:
        assert stage.next(WorkerLost) == WorkerLost("the device was removed", 0.0, on_gpu=True)
    assert stage.next(GpuGivenUp) == GpuGivenUp(2, "cpu")
    stage.next(WorkerStarted)
    assert stage.configs[-1].session.provider is Provider.CPU
    assert "THE GPU FAILED 2 TIMES IN A ROW" in log_errors.pop()


def test_stop_tells_the_worker_first(stage: Stage) -> None:
    worker = ScriptedWorker(1)
    stage.start(worker)
    stage.next(WorkerStarted)
    assert stage.supervisor.stop(20)
    assert worker.requests == [Stop()]
    assert worker.ended.is_set()
    assert stage.supervisor.state == "stopped"
