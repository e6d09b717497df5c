"""What a daemon is started with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.realtime.requests import WorkerConfig
from obs_stylizer.settings import RecordingSettings, WorkerSettings
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """Everything a daemon is started with, already chosen and checked.

    Attributes:
        fps: ticks a second.
        source_fps: asked of the source; None for its own rate.
        adapt: give the generator less work where the machine is too slow.
        motion: follow the motion of the frames: coherence, and key pictures where the generator
            is too slow for the source.
        paced: False lets the source run free, for measuring.
        stats_file: written once a second; None for none.
        frames: end after so many were sent; None to go on.
        duration: end after so many seconds; None to go on.
        recording: where recordings and snapshots go.
        filter_presets: names of presets for filters in OBS, by the name of the OBS source.
        sleep_seconds: without a viewer, after which the source is closed; None for never.
    """

    source: SourceSpec
    sinks: tuple[SinkSpec, ...]
    preset: str
    size: FrameSize
    fps: float
    strength: float | None = None
    source_fps: float | None = None
    process_size: FrameSize | None = None
    session: SessionOptions = field(default_factory=SessionOptions)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    standby_seconds: float = 2.0
    preload: bool = True
    adapt: bool = False
    motion: bool = True
    paced: bool = True
    stats_file: Path | None = None
    frames: int | None = None
    duration: float | None = None
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    filter_presets: Mapping[str, str] = field(default_factory=dict)
    sleep_seconds: float | None = None

    def worker_config(self, mailbox: str, plain_mailbox: str, panel: str) -> WorkerConfig:
        """Return what a worker needs to start; ``panel`` is the panel's address, or ""."""
        return WorkerConfig(
            mailbox=mailbox,
            plain_mailbox=plain_mailbox,
            size=self.size,
            source=self.source,
            fps=self.source_fps,
            paced=self.paced,
            process_size=self.process_size,
            session=self.session,
            log_level=logging.getLogger().getEffectiveLevel(),
            motion=self.motion,
            filter_presets=dict(self.filter_presets),
            panel=panel,
        )
