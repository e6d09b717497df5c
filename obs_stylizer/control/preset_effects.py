"""The words of the preset state machine: what is asked of it, its limits, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from obs_stylizer.errors import StylizerError
from obs_stylizer.presets import NamedPreset, Preset
from obs_stylizer.realtime.requests import SideSettings

PLAIN: Final = NamedPreset("plain", Preset(title="Plain"), Path("plain.yaml"), bundled=True)
"""What is shown where nothing else can be: the frame as it is."""


@dataclass(frozen=True, slots=True)
class PresetChoice:
    """A preset as somebody set it; None leaves what the preset says.

    Attributes:
        strength: 0 to 1.
        styles: weight of each style of the generator.
        coherence: 0 to 1.
        sides: strengths of person and background, and whether they are swapped.
    """

    named: NamedPreset
    strength: float | None = None
    styles: Mapping[str, float] | None = None
    coherence: float | None = None
    sides: SideSettings | None = None

    @property
    def name(self) -> str:
        """The preset's name."""
        return self.named.name


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds, and how often they may fail.

    Attributes:
        load: without any progress of a load, until the worker is replaced.
        answer: from a request to its answer, whatever happens.
        healthy: on air without a fault, until earlier faults are forgotten.
        deaths: of workers under one preset, until it is quarantined.
    """

    load: float = 45.0
    answer: float = 110.0
    healthy: float = 30.0
    deaths: int = 2

    @classmethod
    def for_load(cls, seconds: float) -> Limits:
        """Return limits with room for two tries of a load, and a new worker between them."""
        return cls(load=seconds, answer=2 * seconds + min(20.0, seconds))


class Outcome(StrEnum):
    """What became of a request."""

    SHOWN = "shown"
    FAILED = "failed"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True)
class Show:
    """Have the worker load a preset and go over to it."""

    request_id: int
    choice: PresetChoice
    crossfade_ms: float | None


@dataclass(frozen=True, slots=True)
class Answered:
    """A request has come to its end; ``error`` says why it failed."""

    request_id: int
    outcome: Outcome
    error: StylizerError | None = None


@dataclass(frozen=True, slots=True)
class ReplaceWorker:
    """End the worker, which makes no progress, and start another."""

    reason: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A preset was set aside."""

    name: str
    reason: str


Effect = Show | Answered | ReplaceWorker | Quarantined
