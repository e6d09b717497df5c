"""The real worker, in which presets of certain names take it down or hang, as a driver would."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection

from obs_stylizer.daemon.worker import worker_main
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.requests import WorkerConfig
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader
from obs_stylizer.styling.stylizer import Stylizer

KILLS_LOADING = "kills-loading"
HANGS_LOADING = "hangs-loading"
KILLS_RUNNING = "kills-running"
HANGS_RUNNING = "hangs-running"
FAILS_RUNNING = "fails-running"


def worker_with_killers(config: WorkerConfig, pipe: Connection) -> None:
    load, process = PresetLoader.load, Stylizer.process

    def load_or_die(
        self: PresetLoader, named: NamedPreset, scale: float = 1.0, lite: bool = False
    ) -> LoadedPreset:
        if named.name == KILLS_LOADING:
            os._exit(139)
        if named.name == HANGS_LOADING:
            time.sleep(1000)
        return load(self, named, scale, lite)

    def process_or_die(self: Stylizer, *arguments: object) -> None:
        title = "" if self.loaded is None else self.loaded.preset.title
        if title == KILLS_RUNNING:
            os._exit(139)
        if title == HANGS_RUNNING:
            time.sleep(1000)
        if title == FAILS_RUNNING:
            raise RuntimeError("the device is gone")
        process(self, *arguments)  # type: ignore[arg-type]

    PresetLoader.load = load_or_die  # type: ignore[method-assign]
    Stylizer.process = process_or_die  # type: ignore[method-assign]
    worker_main(config, pipe)
