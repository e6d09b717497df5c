"""The one set of commands that every adapter sends, and what comes back.

A command that fails answers with a readable reason and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApplyPreset:
    """Go over to a preset; ``strength`` and ``crossfade_ms`` override its own."""

    name: str
    strength: float | None = None
    crossfade_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SetStrength:
    """Change the strength, 0 to 1."""

    strength: float


@dataclass(frozen=True, slots=True)
class SetBypass:
    """Show the plain picture, or the styled one again."""

    bypass: bool


@dataclass(frozen=True, slots=True)
class ChangeSource:
    """Take frames from another source, written as on the command line."""

    source: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the preset files again now, instead of within a second."""


@dataclass(frozen=True, slots=True)
class Quit:
    """End the daemon."""


Command = ApplyPreset | SetStrength | SetBypass | ChangeSource | Reload | Quit
"""Everything that can be asked for."""
