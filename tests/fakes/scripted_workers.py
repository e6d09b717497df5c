"""Whole processes in a worker's place, each of which ends, or does not, in a way of its own."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from obs_stylizer.realtime.events import LoadBegan
from obs_stylizer.realtime.requests import Stop, WorkerConfig


def ends_with_a_code(config: WorkerConfig, pipe: Connection) -> None:
    pipe.send(LoadBegan("wave"))
    os._exit(7)


def dies_of_a_signal(config: WorkerConfig, pipe: Connection) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tells_junk(config: WorkerConfig, pipe: Connection) -> None:
    pipe.send_bytes(b"no message of ours")
    time.sleep(60)


def hears_nothing(config: WorkerConfig, pipe: Connection) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    pipe.send(LoadBegan("wave"))
    time.sleep(60)


def leaves_when_told(config: WorkerConfig, pipe: Connection) -> None:
    pipe.send(LoadBegan("wave"))
    while not isinstance(pipe.recv(), Stop):
        pass
    pipe.send(LoadBegan("the last words"))
