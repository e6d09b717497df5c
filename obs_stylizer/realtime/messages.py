"""What the daemon and its worker say to each other through their pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import RunsOn, SessionOptions
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.governor import FULL, QualityLevel
from obs_stylizer.sources.base import SourceInfo
from obs_stylizer.sources.spec import SourceSpec


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """All a worker needs to start.

    Attributes:
        mailbox: name of the shared memory for styled frames.
        plain_mailbox: name of that for frames without a style, given when asked for.
        size: of the pictures it makes.
        source: where its frames come from.
        fps: wished of the source; None for its own rate.
        paced: give frames at their own time; False runs free, for measuring.
        process_size: overrides that of every preset.
        session: how generators are to run.
        log_level: of the standard library's logging.
        motion: follow the motion of the frames.
        filter_presets: names of presets for filters in OBS, by the name of the OBS source.
        panel: address of the panel, for whoever shows our pictures; "" for none.
    """

    mailbox: str
    plain_mailbox: str
    size: FrameSize
    source: SourceSpec
    fps: float | None
    paced: bool
    process_size: FrameSize | None
    session: SessionOptions
    log_level: int
    motion: bool = True
    filter_presets: Mapping[str, str] = field(default_factory=dict)
    panel: str = ""


@dataclass(frozen=True, slots=True)
class SideSettings:
    """What of person and background was set by hand; None leaves what the preset says.

    Attributes:
        person: strength of the person's side, 0 to 1.
        background: that of the background's.
        swapped: exchange the two.
    """

    person: float | None = None
    background: float | None = None
    swapped: bool = False


# From the daemon to the worker.


@dataclass(frozen=True, slots=True)
class ShowPreset:
    """Load a preset and go over to it. A newer ``request_id`` overtakes it.

    ``quality`` is less than the preset asks for on a slow machine; ``styles`` are weights in
    place of the preset's own.
    """

    request_id: int
    preset: NamedPreset
    strength: float | None = None
    crossfade_ms: float | None = None
    quality: QualityLevel = FULL
    styles: Mapping[str, float] | None = None
    coherence: float | None = None
    sides: SideSettings | None = None


@dataclass(frozen=True, slots=True)
class SetStrength:
    """Change the strength of the preset on air, 0 to 1."""

    strength: float


@dataclass(frozen=True, slots=True)
class SetStyles:
    """Change the weights of the styles of the preset on air; those not named become 0."""

    styles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SetCoherence:
    """Change the coherence of the preset on air, 0 to 1."""

    coherence: float


@dataclass(frozen=True, slots=True)
class SetSides:
    """Change person and background of the preset on air."""

    sides: SideSettings


@dataclass(frozen=True, slots=True)
class ShowMask:
    """Show who is taken for a person, or the picture again."""

    show: bool


@dataclass(frozen=True, slots=True)
class SetBypass:
    """Show the plain picture, or the styled one again."""

    bypass: bool


@dataclass(frozen=True, slots=True)
class SetFrozen:
    """Let a source that shows our pictures itself keep the last one, or show new ones again."""

    frozen: bool


@dataclass(frozen=True, slots=True)
class Preload:
    """Load the generators of these presets when there is nothing else to do."""

    presets: tuple[NamedPreset, ...]


@dataclass(frozen=True, slots=True)
class Warm:
    """Load the generator of this preset soon; it is likely to be shown next.

    ``quality`` as in :class:`ShowPreset`.
    """

    preset: NamedPreset
    quality: QualityLevel = FULL


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """Take frames from elsewhere; the old source goes on if the new one cannot work."""

    source: SourceSpec


@dataclass(frozen=True, slots=True)
class GivePlain:
    """Give frames without a style too, or no more."""

    give: bool


@dataclass(frozen=True, slots=True)
class SetAsleep:
    """Close the source, or open it again; everything else stays loaded."""

    asleep: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Close the source and end."""


Request = (
    ShowPreset
    | SetStrength
    | SetStyles
    | SetCoherence
    | SetSides
    | ShowMask
    | SetBypass
    | SetFrozen
    | Preload
    | Warm
    | ChangeSource
    | GivePlain
    | SetAsleep
    | Stop
)


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
    ``seconds_left``; ``style_ratio`` and ``content_kept`` so far; ``trouble`` where it failed.
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
