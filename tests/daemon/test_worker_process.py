"""One worker process: how it is heard, told, ended, and known to be dead."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest

from obs_stylizer.daemon.launch import prepare_launching
from obs_stylizer.daemon.worker_process import WorkerMain, WorkerProcess, launch_worker
from obs_stylizer.errors import WorkerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.realtime.events import LoadBegan
from obs_stylizer.realtime.requests import SetBypass, Stop, WorkerConfig
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes import scripted_workers

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning"),
]

CONFIG = WorkerConfig(
    mailbox="",
    plain_mailbox="",
    size=FrameSize(64, 32),
    source=SourceSpec.parse("pattern"),
    fps=None,
    paced=True,
    process_size=None,
    session=SessionOptions(),
    log_level=logging.INFO,
)


@pytest.fixture
def started() -> Iterator[list[WorkerProcess]]:
    prepare_launching()
    workers: list[WorkerProcess] = []
    yield workers
    for worker in workers:
        # One that a test has closed is none any more.
        with contextlib.suppress(ValueError):
            worker.end(0.0)
        worker.close()
        assert is_dead(worker)


def is_dead(worker: WorkerProcess) -> bool:
    """Whether it runs no more; its parent may be slow to bury it."""
    try:
        return psutil.Process(worker.pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def launch(main: WorkerMain, started: list[WorkerProcess]) -> WorkerProcess:
    worker = launch_worker(main, CONFIG, 60.0)
    started.append(worker)
    return worker


def first_event(worker: WorkerProcess) -> object:
    while (event := worker.receive(0.1)) is None:
        pass
    return event


def test_what_it_told_is_received_before_its_end(started: list[WorkerProcess]) -> None:
    worker = launch(scripted_workers.ends_with_a_code, started)
    assert first_event(worker) == LoadBegan("wave")
    with pytest.raises(WorkerError, match="it ended with code 7"):
        first_event(worker)


def test_signal_that_ended_it_is_named(started: list[WorkerProcess]) -> None:
    worker = launch(scripted_workers.dies_of_a_signal, started)
    with pytest.raises(WorkerError, match="it was ended by signal 9"):
        first_event(worker)


def test_junk_out_of_it_is_an_error_of_its_own(started: list[WorkerProcess]) -> None:
    worker = launch(scripted_workers.tells_junk, started)
    with pytest.raises(WorkerError, match="cannot be understood"):
        first_event(worker)


def test_worker_that_hears_nothing_is_killed(started: list[WorkerProcess]) -> None:
    worker = launch(scripted_workers.hears_nothing, started)
    first_event(worker)
    assert worker.end(0.1)
    assert is_dead(worker)


def test_worker_that_is_stopped_is_killed_and_holds_up_nobody(
    started: list[WorkerProcess],
) -> None:
    worker = launch(scripted_workers.hears_nothing, started)
    first_event(worker)
    os.kill(worker.pid, signal.SIGSTOP)
    taken = 0
    while worker.send(SetBypass(bypass=True)):
        taken += 1
        assert taken < 100_000, "its pipe never fills"
    assert taken > 10
    assert worker.end(0.0)


def test_worker_that_leaves_is_heard_to_the_end(started: list[WorkerProcess]) -> None:
    worker = launch(scripted_workers.leaves_when_told, started)
    first_event(worker)
    assert worker.send(Stop())
    assert worker.end(20.0)
    assert worker.last_events() == [LoadBegan("the last words")]
    worker.close()
    assert worker.send(SetBypass(bypass=True)), "nobody hears it, and nothing fails"
