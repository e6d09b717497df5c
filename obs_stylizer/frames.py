"""Frames: pixels with a number and a time, and the geometry they have.

Everywhere in the package a picture is a C-contiguous ``numpy.uint8`` array of shape
(height, width, 3) in RGB order. Other layouts exist only inside a source or a sink.
Times are seconds of :func:`time.perf_counter`, which on every platform is one clock for
all processes of the machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import UsageError

Pixels = NDArray[np.uint8]

MIN_SIDE: Final = 16
MAX_SIDE: Final = 8192


class PixelFormat(StrEnum):
    """The layouts that sources deliver and sinks take."""

    RGB = "rgb24"
    BGR = "bgr24"
    I420 = "i420"


@dataclass(frozen=True, slots=True, order=True)
class FrameSize:
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> FrameSize:
        """Read ``"1280x720"``.

        Raises:
            UsageError: not of that form, odd, or outside 16 to 8192 pixels a side.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
        if match is None:
            raise UsageError(
                f"“{text}” is no frame size", "write it as WIDTHxHEIGHT, as in 1280x720"
            )
        return cls(int(match[1]), int(match[2])).checked()

    def checked(self) -> FrameSize:
        """Return self if it can be shown and encoded.

        Raises:
            UsageError: odd (video is stored with halved colour), or outside 16 to 8192.
        """
        for side in (self.width, self.height):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise UsageError(
                    f"frame size {self} is out of range",
                    f"each side must lie between {MIN_SIDE} and {MAX_SIDE} pixels",
                )
        if self.width % 2 or self.height % 2:
            even = FrameSize(self.width - self.width % 2, self.height - self.height % 2)
            raise UsageError(f"frame size {self} is odd", f"video needs even sides; try {even}")
        return self

    def rounded_to(self, multiple: int) -> FrameSize:
        """Return the nearest size whose sides are multiples of ``multiple`` (at least one)."""
        return FrameSize(
            max(multiple, round(self.width / multiple) * multiple),
            max(multiple, round(self.height / multiple) * multiple),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of an RGB picture of this size: (height, width, 3)."""
        return (self.height, self.width, 3)

    @property
    def nbytes(self) -> int:
        """Bytes of an RGB picture of this size."""
        return self.width * self.height * 3

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


def size_of(pixels: Pixels) -> FrameSize:
    """Return the size of an RGB picture."""
    return FrameSize(pixels.shape[1], pixels.shape[0])


@dataclass(slots=True)
class Frame:
    """One picture on its way.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, C-contiguous. Its owner may reuse it after the
            next ``read``; whoever keeps it longer copies it.
        sequence: counts up by one for each frame the source made, from 0.
        captured_at: :func:`time.perf_counter` seconds at which the picture was taken.
        timestamp: the frame's own time in its file, in seconds; None from a live source.
        alpha: uint8 (height, width), 255 opaque, of a styled picture that lies over a colour
            where it is not; None where all of it is opaque.
    """

    pixels: Pixels
    sequence: int
    captured_at: float
    timestamp: float | None = None
    alpha: Pixels | None = None

    @property
    def size(self) -> FrameSize:
        """Geometry of the picture."""
        return size_of(self.pixels)
