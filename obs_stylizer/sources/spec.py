"""How a source is written on the command line and in the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from obs_stylizer.errors import UsageError

FORMS = "camera[:INDEX|:NAME], screen[:INDEX][@X,Y,WxH], file:PATH[?once], image:PATH, pattern"


class SourceKind(StrEnum):
    """The kinds of source there are."""

    CAMERA = "camera"
    SCREEN = "screen"
    FILE = "file"
    IMAGE = "image"
    PATTERN = "pattern"


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
        kind: which of the five.
        target: camera name or index, screen index, or path; "" for the first or none.
        region: part of a screen; None for all of it.
        once: a file ends instead of starting over.
    """

    kind: SourceKind
    target: str = ""
    region: Region | None = None
    once: bool = False

    @classmethod
    def parse(cls, text: str) -> SourceSpec:
        """Read one of :data:`FORMS`.

        Raises:
            UsageError: it is none of them.
        """
        head, colon, target = text.strip().partition(":")
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
        elif region is not None:
            raise UsageError(f"“{text}”: only a screen has a region", f"sources are: {FORMS}")
        once = False
        if kind is SourceKind.FILE and target.endswith("?once"):
            target, once = target.removesuffix("?once"), True
        if kind in (SourceKind.FILE, SourceKind.IMAGE) and not target:
            raise UsageError(f"“{text}” names no file", f"write {kind}:PATH")
        if kind is SourceKind.PATTERN and target:
            raise UsageError(f"“{text}”: the test pattern takes no target", "write: pattern")
        return cls(kind, target, region, once)

    def __str__(self) -> str:
        text = f"{self.kind}:{self.target}" if self.target else str(self.kind)
        if self.region is not None:
            text += f"@{self.region}"
        return text + ("?once" if self.once else "")


def _parse_region(area: str, text: str) -> Region:
    match = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6})x(\d{1,6})", area.strip())
    if match is None or int(match[3]) < 1 or int(match[4]) < 1:
        raise UsageError(f"“{text}”: “{area}” is no region", "write it as @X,Y,WIDTHxHEIGHT")
    return Region(*(int(number) for number in match.groups()))
