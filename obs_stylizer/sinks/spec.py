"""How a sink is written on the command line and in the settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from obs_stylizer.errors import UsageError

FORMS = "virtual-camera[:DEVICE], pipewire-camera[:NAME], http[:PORT], file:PATH, null"
DEFAULT_HTTP_PORT = 8765


class SinkKind(StrEnum):
    """The kinds of sink there are."""

    VIRTUAL_CAMERA = "virtual-camera"
    PIPEWIRE_CAMERA = "pipewire-camera"
    HTTP = "http"
    FILE = "file"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class SinkSpec:
    """A sink as asked for; ``target`` is a device, port or path, "" for the default."""

    kind: SinkKind
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> SinkSpec:
        """Read one of :data:`FORMS`.

        Raises:
            UsageError: it is none of them.
        """
        head, _, target = text.strip().partition(":")
        try:
            kind = SinkKind(head.lower())
        except ValueError:
            raise UsageError(f"“{text}” is no sink", f"sinks are: {FORMS}") from None
        if kind is SinkKind.FILE and not target:
            raise UsageError(f"“{text}” names no file", "write file:PATH, as in file:show.mkv")
        if kind is SinkKind.NULL and target:
            raise UsageError(f"“{text}”: the null sink takes no target", "write: null")
        if kind is SinkKind.PIPEWIRE_CAMERA and not re.fullmatch(r"[\w .-]{0,60}", target):
            raise UsageError(
                f"“{text}”: “{target}” is no name for a camera",
                "use up to 60 letters, digits, spaces, dots and hyphens",
            )
        if (
            kind is SinkKind.HTTP
            and target
            and not (target.isdigit() and 1 <= int(target) <= 65535)
        ):
            raise UsageError(f"“{text}”: “{target}” is no port", "ports go from 1 to 65535")
        return cls(kind, target)

    @property
    def port(self) -> int:
        """The port of an HTTP sink."""
        return int(self.target) if self.target else DEFAULT_HTTP_PORT

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" if self.target else str(self.kind)
