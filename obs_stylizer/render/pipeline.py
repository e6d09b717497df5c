"""Decoding, styling and encoding of a stretch of a clip, one beside the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.render.clip import ClipFrame, Footage
from obs_stylizer.render.director import SEGMENT_FRAMES, Director
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.thread_group import BoundedQueue, ThreadGroup
from obs_stylizer.sources.letterbox import blacken_bars

_QUEUE_LENGTH: Final = 3


@dataclass(frozen=True, slots=True)
class Styled:
    """A finished picture, and the frame it was made of.

    Attributes:
        frame: as it was decoded.
        pixels: uint8 (height, width, 3) RGB.
        alpha: uint8 (height, width), 255 opaque; None where all of it is.
        untouched: whether nothing was changed, so that the frame itself can be encoded.
    """

    frame: ClipFrame
    pixels: Pixels
    untouched: bool
    alpha: Pixels | None = None


@dataclass(frozen=True, slots=True)
class Boundary:
    """Stands between two segments, ahead of the first and after the last.

    Attributes:
        segment: number of the segment that follows; None at the end.
        memory: what the director remembers here.
    """

    segment: int | None
    memory: Memory


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which frames to render.

    Attributes:
        first: number of the first frame.
        end: number after the last; None for all there are.
        begin: number of the frame to begin at so that the past is known at ``first``.
        memory: the past itself, where it is known; ``begin`` is not needed then.
    """

    first: int = 0
    end: int | None = None
    begin: int = 0
    memory: Memory | None = None


def segment_of(ordinal: int) -> int:
    """Return the number of the segment that a frame belongs to."""
    return ordinal // SEGMENT_FRAMES


def render_stretch(
    group: ThreadGroup,
    clip: Footage,
    director: Director,
    stretch: Stretch,
    take: Callable[[Styled | Boundary], None],
    leave: Callable[[], None] | None = None,
) -> None:
    """Start the work on a stretch in threads of ``group``; returns at once.

    Args:
        group: to be waited for, and to be stopped if need be.
        clip: nobody else may use it meanwhile.
        director: nobody else may use it meanwhile.
        stretch: which frames.
        take: is given boundaries and pictures in order, in a thread of its own.
        leave: called by that thread at the end, however it comes.
    """
    decoded: BoundedQueue[tuple[ClipFrame, Pixels]] = BoundedQueue(group, _QUEUE_LENGTH)
    finished: BoundedQueue[Styled | Boundary] = BoundedQueue(group, _QUEUE_LENGTH)
    begin = stretch.first if stretch.memory is not None else stretch.begin

    def decode() -> None:
        for frame in clip.frames(begin):
            group.check()
            if stretch.end is not None and frame.ordinal >= stretch.end:
                break
            decoded.put((frame, frame.picture.to_rgb()))
        decoded.end()

    def style() -> None:
        if stretch.memory is not None:
            director.go_on_from(stretch.memory)
        segment: int | None = None
        for frame, pixels in decoded:
            if frame.ordinal < stretch.first:
                director.style(pixels, frame.seconds, frame.ordinal)
                continue
            if segment_of(frame.ordinal) != segment:
                segment = segment_of(frame.ordinal)
                finished.put(Boundary(segment, director.memory()))
            picture = _with_bars(director.style(pixels, frame.seconds, frame.ordinal), frame)
            alpha = director.alpha
            untouched = alpha is None and _same(picture, pixels)
            finished.put(Styled(frame, picture, untouched, alpha))
        finished.put(Boundary(None, director.memory()))
        finished.end()

    def hand_over() -> None:
        try:
            for item in finished:
                take(item)
        finally:
            if leave is not None:
                leave()

    group.start("decoding", decode)
    group.start("styling", style)
    group.start("encoding", hand_over)


def _with_bars(picture: Pixels, frame: ClipFrame) -> Pixels:
    """Return a styled picture whose bars are black, where it has any: they are no picture."""
    own, size = frame.picture.barred, frame.picture.size
    height, width = picture.shape[:2]
    if own is None or width * size.height != height * size.width:
        return picture
    # A copy, since what follows may still look at the one that was made.
    barred = picture.copy()
    blacken_bars(barred, own)
    return barred


def _same(one: Pixels, other: Pixels) -> bool:
    if one.shape != other.shape:
        return False
    # A row in the middle tells most of what differs at a glance.
    middle = len(one) // 2
    return bool((one[middle] == other[middle]).all()) and np.array_equal(one, other)
