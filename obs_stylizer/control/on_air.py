"""What is on air, as far as events have told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from obs_stylizer.realtime import events
from obs_stylizer.realtime.events import Event


@dataclass(frozen=True, slots=True)
class OnAir:
    """One moment's state of the daemon.

    The troubles say in a few words what keeps a styled picture away; "" while all is well.

    Attributes:
        request_id: number of the request that brought the preset.
        styles: weight of each style of the generator, in its order; empty where it has none.
        sides: strength of person and background; empty where the preset does not tell them apart.
        swapped: person and background are exchanged.
        shows_mask: who is taken for a person is shown, to set up by.
        crossfade_ms: of every change of preset; None where each preset has its own.
        quarantined: why each preset that is set aside is, by its name.
        recording: path of the recording that is being made, "" for none.
        asleep: nobody watches, and the source is closed.
        learning: how far learning a style is, or how that ended; empty where none was learnt.
    """

    preset: str = ""
    title: str = ""
    request_id: int = -1
    strength: float = 1.0
    coherence: float = 0.0
    styles: Mapping[str, float] = field(default_factory=dict)
    sides: Mapping[str, float] = field(default_factory=dict)
    swapped: bool = False
    shows_mask: bool = False
    crossfade_ms: float | None = None
    bypass: bool = False
    freeze: bool = False
    recording: str = ""
    asleep: bool = False
    source: str = ""
    source_name: str = ""
    source_state: str = "opening"
    source_fps: float | None = None
    provider: str = ""
    device: str = ""
    precision: str = ""
    why: str = ""
    process_size: str = ""
    generator: str = ""
    preloaded: bool = False
    quarantined: Mapping[str, str] = field(default_factory=dict)
    learning: Mapping[str, Any] = field(default_factory=dict)
    worker_trouble: str = "starting"
    source_trouble: str = ""
    style_trouble: str = ""

    @property
    def trouble(self) -> str:
        """The one that the others follow from."""
        return self.worker_trouble or self.source_trouble or self.style_trouble

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, and ``trouble``, as plain JSON values."""
        mappings = {
            "styles": dict(self.styles),
            "sides": dict(self.sides),
            "quarantined": dict(self.quarantined),
            "learning": dict(self.learning),
        }
        return {**asdict(self), **mappings, "trouble": self.trouble}

    def changed_since(self, earlier: OnAir) -> list[str]:
        """Names of what is another than in ``earlier``."""
        names = [item.name for item in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(earlier, name)]


class OnAirState:
    """Holds what is on air; changed by the controller's thread alone."""

    def __init__(self, on_air: OnAir) -> None:
        self.on_air = on_air

    def change(self, **changes: object) -> None:
        """Replace some of it."""
        self.on_air = replace(self.on_air, **changes)  # type: ignore[arg-type]


def after(on_air: OnAir, event: Event) -> OnAir:
    """Return the state after an event that concerns source or worker."""
    if isinstance(event, events.SourceOpened):
        return replace(
            on_air,
            source=str(event.source),
            source_name=event.info.name,
            source_state="open",
            source_fps=event.info.fps,
            source_trouble="",
        )
    if isinstance(event, events.SourceLost | events.SourceFailed):
        state = "lost" if isinstance(event, events.SourceLost) else "failed"
        return replace(on_air, source_state=state, source_trouble=event.error.message)
    if isinstance(event, events.SleepChanged):
        state = "asleep" if event.asleep else "opening"
        return replace(on_air, asleep=event.asleep, source_state=state, source_trouble="")
    if isinstance(event, events.SourceEnded):
        return replace(on_air, source_state="ended", source_trouble="the source has ended")
    if isinstance(event, events.WorkerLost):
        return replace(on_air, worker_trouble="the worker is starting again", preloaded=False)
    if isinstance(event, events.GpuGivenUp):
        return replace(on_air, worker_trouble="the GPU failed")
    if isinstance(event, events.Preloaded):
        return replace(on_air, preloaded=True)
    return on_air
