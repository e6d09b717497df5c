"""Cues: which preset begins at which moment of a clip."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator

from obs_stylizer.documents import Section, load_document
from obs_stylizer.errors import DocumentError, UsageError
from obs_stylizer.presets import BYPASS

_TIME: Final = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)")
_FORM: Final = (
    "write it as TIME=PRESET or TIME=PRESET@STRENGTH, as in 0:10=great-wave or 1:02.5=scream@0.6"
)


@dataclass(frozen=True, slots=True)
class Cue:
    """A change of preset.

    Attributes:
        seconds: since the first frame of the clip.
        preset: its name, or ``bypass`` for the plain picture.
        strength: 0 to 1; None for the preset's own.
    """

    seconds: float
    preset: str
    strength: float | None = None

    def __str__(self) -> str:
        minutes, seconds = divmod(self.seconds, 60)
        strength = "" if self.strength is None else f"@{self.strength:g}"
        return f"{minutes:.0f}:{seconds:06.3f}={self.preset}{strength}"


class _WrittenCue(Section):
    """A cue in a file."""

    at: str | float
    """When: seconds, or MINUTES:SECONDS, or HOURS:MINUTES:SECONDS."""
    preset: str
    """Name of a preset, or bypass."""
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 to 1; the preset's own if left out."""

    @field_validator("at")
    @classmethod
    def _check_time(cls, value: str | float) -> str | float:
        try:
            parse_time(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from error
        return value


class _CueFile(Section):
    """A file of cues."""

    cues: tuple[_WrittenCue, ...]
    """In any order."""


def parse_time(text: str) -> float:
    """Read ``"12.5"``, ``"0:12.5"`` or ``"1:00:12.5"`` as seconds.

    Raises:
        UsageError: not of that form.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"“{text}” is no time", "write it as 0:10 or 12.5 or 1:00:10")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if (match[2] is not None and seconds >= 60) or (match[1] is not None and minutes >= 60):
        raise UsageError(f"“{text}” is no time", "minutes and seconds go up to 59")
    return hours * 3600 + minutes * 60 + seconds


def parse_cue(text: str) -> Cue:
    """Read ``"0:10=great-wave"`` or ``"0:25=ink@0.6"``.

    Raises:
        UsageError: not of that form.
    """
    time, equals, rest = text.partition("=")
    preset, at, strength_text = rest.strip().partition("@")
    if not equals or not preset.strip():
        raise UsageError(f"“{text}” is no cue", _FORM)
    strength = None
    if at:
        try:
            strength = float(strength_text)
        except ValueError:
            raise UsageError(f"“{text}” is no cue", _FORM) from None
        if not 0 <= strength <= 1:
            raise UsageError(f"strength {strength:g} is out of range", "it goes from 0 to 1")
    return Cue(parse_time(time), preset.strip(), strength)


def load_cues(path: Path) -> list[Cue]:
    """Read a YAML file of cues.

    Raises:
        DocumentError: naming file, line, key and remedy.
    """
    written = load_document(path, _CueFile, DocumentError).cues
    return [Cue(parse_time(str(cue.at)), cue.preset, cue.strength) for cue in written]


def in_order(cues: Iterable[Cue], preset: str, strength: float | None) -> tuple[Cue, ...]:
    """Return the cues by time, one for the clip's beginning ahead of them.

    Args:
        cues: in any order.
        preset: what the clip begins with.
        strength: of ``preset``, and of every cue that says none; None for the presets' own.

    Raises:
        UsageError: two cues have the same time.
    """
    rest = sorted(cues, key=lambda cue: cue.seconds)
    for one, other in itertools.pairwise(rest):
        if one.seconds == other.seconds:
            raise UsageError(f"two cues at once: {one} and {other}", "take one of them out")
    begin: Sequence[Cue] = [] if rest and rest[0].seconds == 0 else [Cue(0.0, preset)]
    return tuple(
        Cue(cue.seconds, cue.preset, strength if cue.strength is None else cue.strength)
        for cue in (*begin, *rest)
    )


def is_bypass(cue: Cue) -> bool:
    """Whether a cue asks for the plain picture."""
    return cue.preset == BYPASS
