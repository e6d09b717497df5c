"""What the daemon asks of its worker, through their pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import SessionOptions
from obs_stylizer.presets import NamedPreset
from obs_stylizer.realtime.governor import FULL, QualityLevel
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
