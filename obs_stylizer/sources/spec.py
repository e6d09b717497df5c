"""How a source is written on the command line and in the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypedDict

from obs_stylizer.errors import UsageError

FORMS = (
    "camera[:INDEX|:NAME|:pipewire:NODE], screen[:INDEX][@X,Y,WxH][?ask], window[@X,Y,WxH][?ask], "
    "file:PATH[?once], image:PATH, pattern, generator:NAME[?seed=N&seconds=S], obs-filter[:NAME]"
)
PIPEWIRE_PREFIX: Final = "pipewire:"
"""What the target of a camera begins with that is to be read through PipeWire."""

WALK_SECONDS: Final = 4.0
"""How long a generator takes from one random picture to the next, unless said otherwise."""


class SourceKind(StrEnum):
    """The kinds of source there are."""

    CAMERA = "camera"
    SCREEN = "screen"
    WINDOW = "window"
    FILE = "file"
    IMAGE = "image"
    PATTERN = "pattern"
    GENERATOR = "generator"
    OBS_FILTER = "obs-filter"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a screen, in pixels from its upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source as asked for.

    Attributes:
        kind: which of them.
        target: camera name or index, screen index, generator's name, path, or the name of an OBS
            source with a filter; "" for the first or none.
        region: part of a screen or window; None for all of it.
        once: a file ends instead of starting over.
        seed: which walk a generator takes.
        seconds: how long a generator takes from one random picture to the next.
        ask: forget what the user shared last, so that the desktop asks again.
    """

    kind: SourceKind
    target: str = ""
    region: Region | None = None
    once: bool = False
    seed: int = 0
    seconds: float = WALK_SECONDS
    ask: bool = False

    @classmethod
    def parse(cls, text: str) -> SourceSpec:
        """Read one of :data:`FORMS`.

        Raises:
            UsageError: it is none of them.
        """
        plain = text.strip()
        ask = plain.endswith("?ask") and plain.lower().startswith(("screen", "window"))
        head, colon, target = plain.removesuffix("?ask" if ask else "").partition(":")
        region = None
        if "@" in head and not colon:
            head, _, area = head.partition("@")
            region = _parse_region(area, text)
        try:
            kind = SourceKind(head.lower())
        except ValueError:
            raise UsageError(f"“{text}” is no source", f"sources are: {FORMS}") from None
        if kind is SourceKind.SCREEN:
            target, at, area = target.partition("@")
            region = _parse_region(area, text) if at else region
            if target and not target.isdigit():
                raise UsageError(
                    f"“{text}”: a screen goes by its number", "see: obs-stylizer devices"
                )
        elif kind is SourceKind.WINDOW:
            if target:
                raise UsageError(
                    f"“{text}”: a window is chosen in the desktop's dialog", "write: window"
                )
        elif region is not None:
            raise UsageError(
                f"“{text}”: only a screen or window has a region", f"sources are: {FORMS}"
            )
        once = False
        if kind is SourceKind.FILE and target.endswith("?once"):
            target, once = target.removesuffix("?once"), True
        if kind in (SourceKind.FILE, SourceKind.IMAGE) and not target:
            raise UsageError(f"“{text}” names no file", f"write {kind}:PATH")
        if kind is SourceKind.GENERATOR:
            target, _, query = target.partition("?")
            if not target:
                raise UsageError(f"“{text}” names no generator", "see: obs-stylizer devices")
            return cls(kind, target, **_parse_walk(query, text))
        if kind is SourceKind.PATTERN and target:
            raise UsageError(f"“{text}”: the test pattern takes no target", "write: pattern")
        return cls(kind, target, region, once, ask=ask)

    def __str__(self) -> str:
        text = f"{self.kind}:{self.target}" if self.target else str(self.kind)
        if self.region is not None:
            text += f"@{self.region}"
        walk = [f"seed={self.seed}"] if self.seed else []
        walk += [f"seconds={self.seconds:g}"] if self.seconds != WALK_SECONDS else []
        return (
            text
            + ("?once" if self.once else "")
            + ("?ask" if self.ask else "")
            + ("?" + "&".join(walk) if walk else "")
        )


def _parse_region(area: str, text: str) -> Region:
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6})x(\d{1,6})", area.strip())
    if match is None or int(match[3]) < 1 or int(match[4]) < 1:
        raise UsageError(f"“{text}”: “{area}” is no region", "write it as @X,Y,WIDTHxHEIGHT")
    return Region(*(int(number) for number in match.groups()))


class _Walk(TypedDict, total=False):
    seed: int
    seconds: float


def _parse_walk(query: str, text: str) -> _Walk:
    walk: _Walk = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key == "seed" and re.fullmatch(r"\d{1,9}", value):
            walk["seed"] = int(value)
        elif key == "seconds" and re.fullmatch(r"\d{1,4}(\.\d{1,3})?", value) and float(value) > 0:
            walk["seconds"] = float(value)
        else:
            raise UsageError(
                f"“{text}”: “{part}” is nothing a generator knows",
                "write it as generator:NAME?seed=3&seconds=8",
            )
    return walk
