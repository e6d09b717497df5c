"""A worker whose driver takes it down while the first generator is loaded."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from obs_stylizer.inference.session import Provider
from obs_stylizer.realtime.events import AdapterTried
from obs_stylizer.realtime.requests import WorkerConfig


def dying_worker(config: WorkerConfig, pipe: Connection) -> None:
    pipe.send(AdapterTried(on_gpu=config.session.provider is not Provider.CPU))
    os._exit(139)
