"""The one set of commands that every control surface sends, and what comes back.

A command that fails answers with a readable reason and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from obs_stylizer.errors import UsageError


@dataclass(frozen=True, slots=True)
class ApplyPreset:
    """Go over to a preset; ``strength`` and ``crossfade_ms`` override its own."""

    name: str
    strength: float | None = None
    crossfade_ms: float | None = None


@dataclass(frozen=True, slots=True)
class WarmPreset:
    """Load a preset's generator, so that going over to it is instant; shows nothing of it."""

    name: str


@dataclass(frozen=True, slots=True)
class NextPreset:
    """Go over to the next preset by name; after the last comes the first."""


@dataclass(frozen=True, slots=True)
class PreviousPreset:
    """Go over to the preset before this one by name; before the first comes the last."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Go back to what was on air before the last change of preset, strength or mix."""


@dataclass(frozen=True, slots=True)
class SetStrength:
    """Change the strength, 0 to 1."""

    strength: float


@dataclass(frozen=True, slots=True)
class StepStrength:
    """Change the strength by so much, up or down; it stays within 0 and 1."""

    by: float


@dataclass(frozen=True, slots=True)
class MixStyles:
    """Change the weights of a generator's styles; those not named become 0."""

    styles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SetCoherence:
    """Change the coherence, 0 to 1: how much strokes keep from frame to frame."""

    coherence: float


@dataclass(frozen=True, slots=True)
class SetPersonStrength:
    """Change the strength of what is shown of people, 0 to 1."""

    strength: float


@dataclass(frozen=True, slots=True)
class SetBackgroundStrength:
    """Change the strength of what is shown around people, 0 to 1."""

    strength: float


@dataclass(frozen=True, slots=True)
class SwapSides:
    """Exchange what person and background show, or not; None turns it over."""

    swap: bool | None = None


@dataclass(frozen=True, slots=True)
class ShowMask:
    """Show who is taken for a person, to set up by, or no more; None turns it over."""

    mask: bool | None = None


@dataclass(frozen=True, slots=True)
class SetCrossfade:
    """Crossfade every change of preset in so many milliseconds; None: each preset's own."""

    milliseconds: float | None = None


@dataclass(frozen=True, slots=True)
class SetBypass:
    """Show the plain picture, or the styled one again; None turns it over."""

    bypass: bool | None = None


@dataclass(frozen=True, slots=True)
class SetFreeze:
    """Hold the picture as it is, or let it go on; None turns it over."""

    freeze: bool | None = None


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """Take frames from another source, written as on the command line."""

    source: str


@dataclass(frozen=True, slots=True)
class Record:
    """Record what is sent, into the folder of recordings, or end that; None turns it over."""

    record: bool | None = None


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Save the plain and the styled picture as PNG, into the folder of snapshots."""


@dataclass(frozen=True, slots=True)
class LearnStyle:
    """Learn the style of a picture, and go over to it; ``name`` "" takes that of its file."""

    picture: str
    name: str = ""
    seconds: float = 90.0


@dataclass(frozen=True, slots=True)
class LearnKeyframe:
    """Learn what was painted on a frame, go over to it, and learn each save of the painting."""

    frame: str
    painted: str
    name: str = ""
    seconds: float = 180.0


@dataclass(frozen=True, slots=True)
class LearnMore:
    """Go on with the style that was learnt last."""

    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class KeepLearnt:
    """Take the style that is being learnt as it is."""


@dataclass(frozen=True, slots=True)
class ForgetLearnt:
    """Stop learning a style, and keep nothing of it."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the preset files again now, instead of within a second."""


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Say what is on air; changes nothing."""


@dataclass(frozen=True, slots=True)
class Quit:
    """End the daemon."""


Command = (
    ApplyPreset
    | WarmPreset
    | NextPreset
    | PreviousPreset
    | Undo
    | SetStrength
    | StepStrength
    | MixStyles
    | SetCoherence
    | SetPersonStrength
    | SetBackgroundStrength
    | SwapSides
    | ShowMask
    | SetCrossfade
    | SetBypass
    | SetFreeze
    | ChangeSource
    | Record
    | TakeSnapshot
    | LearnStyle
    | LearnKeyframe
    | LearnMore
    | KeepLearnt
    | ForgetLearnt
    | Reload
    | GetStatus
    | Quit
)
"""Everything that can be asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command that was done comes back with.

    Attributes:
        text: a line for people.
        details: the same for programs; plain JSON values.
    """

    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


def check_strength(strength: float) -> None:
    """Raise UsageError unless it is within 0 and 1."""
    if not 0 <= strength <= 1:
        raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")


def check_crossfade(milliseconds: float) -> None:
    """Raise UsageError unless it is within 0 and ten seconds."""
    if not 0 <= milliseconds <= 10_000:
        raise UsageError(f"crossfade {milliseconds:g} is out of range", "it goes from 0 to 10000")
