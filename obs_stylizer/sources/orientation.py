"""How a picture has to be turned and mirrored to be upright, as a video's display matrix says."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.sources.side_data import side_data


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways a picture can lie.

    Attributes:
        transposed: rows become columns, first of all.
        mirrored: left and right change places.
        flipped: top and bottom change places.
    """

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @property
    def is_upright(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.transposed or self.mirrored or self.flipped)

    def size(self, width: int, height: int) -> FrameSize:
        """Return the size that a picture has once it is upright."""
        return FrameSize(height, width) if self.transposed else FrameSize(width, height)

    def upright(self, pixels: Pixels) -> Pixels:
        """Return a picture (height, width, 3) upright and C-contiguous."""
        if self.transposed:
            pixels = pixels.swapaxes(0, 1)
        if self.mirrored:
            pixels = pixels[:, ::-1]
        if self.flipped:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Return how a decoded frame lies. Angles between right ones count as the nearest of those."""
    matrix = side_data(frame, Type.DISPLAYMATRIX)
    if matrix is None:
        return UPRIGHT
    # Where a place x, y is shown: a x + c y, b x + d y.
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, mirrored=c < 0, flipped=b < 0)
    return Orientation(mirrored=a < 0, flipped=d < 0)
