"""What happened: events that the worker, the supervisor and the daemon tell the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import RunsOn
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec

# From the worker to the daemon.


@dataclass(frozen=True, slots=True)
class LoadBegan:
    """The worker begins to load a preset's generator, to show it or ahead of that."""

    name: str


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """The generator is loaded, or cannot be."""

    name: str


@dataclass(frozen=True, slots=True)
class PresetShown:
    """The preset of a request is loaded and goes on air with the next frame.

    ``frame_seconds`` is what one frame took in warm-up, 0 where there is no generator;
    ``styles`` are the weights of the generator's styles, empty where it has none; ``generator``
    is its file's name without the suffix; ``sides`` are the strengths of person and background,
    empty where the preset does not tell them apart.
    """

    request_id: int
    name: str
    runs_on: RunsOn | None
    process_size: FrameSize
    frame_seconds: float = 0.0
    styles: Mapping[str, float] = field(default_factory=dict)
    generator: str = ""
    coherence: float = 0.0
    sides: Mapping[str, float] = field(default_factory=dict)
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class PresetFailed:
    """A preset could not be loaded; what was on air stays."""

    request_id: int
    name: str
    error: StylizerError


@dataclass(frozen=True, slots=True)
class SourceOpened:
    """The source gives frames."""

    source: SourceSpec
    info: SourceInfo


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The source is away and is being tried again."""

    source: SourceSpec
    error: StylizerError


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """The source can never work as asked for."""

    source: SourceSpec
    error: StylizerError


@dataclass(frozen=True, slots=True)
class SourcePreset:
    """Where the source is shown, somebody chose a preset for it."""

    name: str


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """A source that ends has given its last frame; ``frames`` were captured in all."""

    source: SourceSpec
    frames: int


@dataclass(frozen=True, slots=True)
class AdapterTried:
    """The worker is about to try a processor, whose driver may take it down."""

    on_gpu: bool


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The worker cannot go on and ends itself; ``on_gpu`` says where its generator ran."""

    error: StylizerError
    on_gpu: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log record of the worker's, to be logged by the daemon."""

    name: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class StyleLearning:
    """How far learning a style is: plain JSON values.

    ``name``; ``state``, one of learning, learnt, failed, forgotten; ``share`` of the time, 0 to 1;
    ``seconds_left``; ``style_ratio`` and ``content_kept`` so far, or of a painted frame the
    ``difference`` and how many ``exports`` there are; ``trouble`` where something failed.
    """

    progress: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preloaded:
    """All generators that were to be preloaded are."""


# From the supervisor to the controller.


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker process runs; ``restarts`` counts those before it."""

    pid: int
    restarts: int


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """The worker crashed, hung or lost its device; the next one starts after ``pause`` s.

    ``on_gpu`` says where its generator ran.
    """

    reason: str
    pause: float
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class GpuGivenUp:
    """The GPU failed too often in a row; from now on ``action`` is done."""

    failures: int
    action: str


# From the recorder to the controller.


@dataclass(frozen=True, slots=True)
class RecordingStarted:
    """What is sent is being recorded."""

    path: Path


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """The recording is whole and closed; ``reason`` is "" where somebody ended it."""

    path: Path
    reason: str = ""


# From the daemon's own clock to the controller.


@dataclass(frozen=True, slots=True)
class LoadMeasured:
    """A frame took ``busy`` seconds of the worker's time; ``wanted_fps`` are to be styled."""

    busy: float
    wanted_fps: float


# From the daemon's own watch for viewers to the controller.


@dataclass(frozen=True, slots=True)
class SleepChanged:
    """Nobody has watched for a while and all sleeps, or somebody does again."""

    asleep: bool


Event = (
    LoadMeasured
    | WorkerStarted
    | WorkerLost
    | GpuGivenUp
    | AdapterTried
    | LoadBegan
    | LoadEnded
    | PresetShown
    | PresetFailed
    | SourceOpened
    | SourceLost
    | SourceFailed
    | SourceEnded
    | SourcePreset
    | SleepChanged
    | WorkerFailed
    | LogLine
    | Preloaded
    | StyleLearning
    | RecordingStarted
    | RecordingEnded
)
