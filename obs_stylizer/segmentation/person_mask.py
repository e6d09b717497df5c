"""Masks of a stream of frames: found anew in each, calm from one to the next, sharp at its size.

The network looks at a small copy of the very frame that is shown, so a mask is never late. Where
the frame's motion is known, it is mixed with the mask before, carried along (as
:mod:`obs_stylizer.motion.coherence` does with pictures); where something was covered or came into
view, it is taken as it is. Then it is brought to the edges of the frame, at half its size (which
is as fine as a softness of two pixels) and no less than 640 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels, size_of
from obs_stylizer.motion.carrying import Carrier
from obs_stylizer.motion.flow import Motion, MotionEstimator
from obs_stylizer.segmentation.guided_filter import guided_coefficients

Floats = NDArray[np.float32]

KEPT: Final = 0.8
"""Share of the mask before, where the motion is known."""
_RADIUS: Final = 4
_STEEPNESS: Final = 1.5
_LEAST_WIDTH: Final = 640
"""Of the frames that edges are found in, where there are as many pixels."""
_LIKELY: Final = 76
_SURE: Final = 242
_SURE_AREA: Final = 0.003
"""Levels of what may be a person, and of what surely is; how much of the frame must be sure."""
_NOTHING: Final = 0.06
"""Under this a mask holds nobody."""


class FindsPeople(Protocol):
    """What a mask is found by; see :class:`~obs_stylizer.segmentation.mask_session.MaskSession`."""

    @property
    def size(self) -> FrameSize:
        """Of the frames it takes and the masks it gives."""

    @property
    def run(self) -> Callable[[Pixels], Pixels]:
        """Takes a frame, uint8 (height, width, 3), and gives its mask, uint8 (height, width)."""


class PersonMask:
    """Makes the masks of one stream of frames. One thread only.

    Args:
        session: finds people; may serve several streams of one thread.
        edge: softness of the edge, in pixels of the frames.
        grow: pixels by which the mask is wider than the person.
    """

    def __init__(self, session: FindsPeople, edge: float = 0.0, grow: int = 0) -> None:
        self._session = session
        self._edge, self._grow = edge, grow
        self._motion = MotionEstimator()
        self._carrier = Carrier(session.size)
        self._seen: Pixels = np.zeros(session.size.shape, np.uint8)
        self._guide: Pixels = self._seen
        self._last: Floats | None = None
        self._relief: Floats | None = None
        self._relieves = False

    def memory(self) -> tuple[Pixels, Pixels] | None:
        """Return what is kept of earlier frames, as bytes: the last small frame, and its mask."""
        if self._last is None:
            return None
        height, width = self._last.shape
        return self._seen.copy(), self._last.copy().view(np.uint8).reshape(height, width, 4)

    def recall(self, memory: tuple[Pixels, Pixels]) -> None:
        """Go on from the memory of another."""
        seen, last = memory
        self._seen = seen.copy()
        self._motion.recall(seen)
        self._last = np.ascontiguousarray(last).view(np.float32)[..., 0].copy()

    def find(self, frame: Pixels, motion: Motion | None = None) -> Floats:
        """Return the mask of a frame, calm but as small as it was found.

        Args:
            frame: uint8 (H, W, 3).
            motion: that led from the frame before to this one; None to find it out.

        Returns:
            float32 of the session's size, 0 to 1; to be read only.
        """
        size = (self._session.size.width, self._session.size.height)
        # Halving is many times quicker than any other area average, and is wanted anyway.
        self._guide = _halved(frame)
        near = _halved(self._guide, size[0]) if self._guide is not frame else frame
        close = near.shape[1] < 1.5 * size[0]
        how = cv2.INTER_LINEAR if close else cv2.INTER_AREA
        self._seen = np.asarray(cv2.resize(near, size, interpolation=how), np.uint8)
        found = _sure_parts(self._session.run(self._seen))
        if motion is None:
            motion = self._motion.observe(self._seen)
        self._last = self._calm(found, self._last, motion)
        if self._relieves:
            self._relief = self._calm(found, self._relief, motion)
        return self._last

    def _calm(self, found: Floats, last: Floats | None, motion: Motion) -> Floats:
        if last is None or motion.cut:
            return found
        if motion.still:
            return np.asarray(cv2.addWeighted(last, KEPT, found, 1 - KEPT, 0))
        places = self._carrier.places(motion.back)
        carried = cv2.remap(last, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        kept = self._carrier.widen(motion.confidence * np.float32(KEPT))
        return np.asarray(cv2.add(found, cv2.multiply(cv2.subtract(carried, found), kept)))

    def refine(self, frame: Pixels, found: Floats) -> Pixels:
        """Return a mask at the size of its frame: uint8 (H, W), 255 a person.

        Args:
            frame: uint8 (H, W, 3); the one that :meth:`find` saw last.
            found: what that returned.
        """
        size = size_of(frame)
        if float(found.max()) < _NOTHING:
            return np.zeros((size.height, size.width), np.uint8)
        refined = _follow_edges(self._guide, self._seen, found)
        if refined.shape != frame.shape[:2]:
            whole = (size.width, size.height)
            refined = np.asarray(cv2.resize(refined, whole, interpolation=cv2.INTER_LINEAR))
        return _shaped(refined, self._edge, self._grow)

    def reset(self) -> None:
        """Forget earlier frames, after a cut in the source."""
        self._motion.reset()
        self._last = self._relief = None

    def begin_anew(self) -> None:
        """See :meth:`~obs_stylizer.motion.coherence.Coherence.begin_anew`."""
        self._relief, self._relieves = None, True

    def change_over(self) -> None:
        """See :meth:`~obs_stylizer.motion.coherence.Coherence.change_over`."""
        if self._relieves:
            self._last, self._relief, self._relieves = self._relief, None, False


def _sure_parts(found: Pixels) -> Floats:
    """Return a mask, 0 to 1, without the parts in which the network is nowhere sure of a person.

    That is most of what it takes for one where nobody is (hysteresis, as in Canny's edges).
    """
    likely = cv2.threshold(found, _LIKELY, 1, cv2.THRESH_BINARY)[1]
    count, parts = cv2.connectedComponents(likely, connectivity=4)
    sure = np.bincount(parts[found > _SURE], minlength=count)
    kept = sure >= _SURE_AREA * found.size
    kept[0] = False
    return found * kept[parts] * np.float32(1 / 255)


def _halved(frame: Pixels, least: int = _LEAST_WIDTH) -> Pixels:
    """Return ``frame`` at half its size where that is no narrower than ``least``, else itself."""
    height, width = frame.shape[:2]
    if width // 2 < least or width % 2 or height % 2:
        return frame
    half = cv2.resize(frame, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.uint8)


def _follow_edges(guide: Pixels, small: Pixels, found: Floats) -> Pixels:
    """Return a mask at the size of ``guide``, with its edges (He & Sun 2015, "Fast Guided Filter").

    The linear maps from colours to mask are found on small copies and applied to ``guide``. Only
    where somebody is: elsewhere the mask is 0.
    """
    made: Pixels = np.zeros(guide.shape[:2], np.uint8)
    rows, wide_rows = _around(found.max(1), len(guide))
    columns, wide_columns = _around(found.max(0), guide.shape[1])
    part = np.ascontiguousarray(guide[wide_rows, wide_columns])
    edges = _edges_of(part, np.ascontiguousarray(small[rows, columns]), found[rows, columns])
    made[wide_rows, wide_columns] = edges
    return made


def _around(most: Floats, length: int) -> tuple[slice, slice]:
    """Return where somebody is along one side, with room for the filter around.

    Args:
        most: the largest value of the mask at each place of the small frame's side.
        length: of the same side of the guide.

    Returns:
        The places of the small frame, and the same ones of the guide: both ends fall on a pixel
        edge of either.
    """
    count = len(most)
    step = count // math.gcd(count, length)
    places = np.flatnonzero(most >= _NOTHING)
    first = max(0, int(places[0]) - 2 * _RADIUS) // step * step
    last = min(count, -(-(int(places[-1]) + 1 + 2 * _RADIUS) // step) * step)
    return slice(first, last), slice(first * length // count, last * length // count)


def _edges_of(guide: Pixels, small: Pixels, found: Floats) -> Pixels:
    height, width = guide.shape[:2]
    maps = guided_coefficients(small, found, _RADIUS)
    whole = (width, height)
    # Steeper about the middle, and for bytes, which goes into the maps at no cost.
    maps[:3] *= np.float32(_STEEPNESS)
    maps[3] = ((maps[3] - 0.5) * _STEEPNESS + 0.5) * 255
    total = cv2.resize(maps[3], whole, interpolation=cv2.INTER_LINEAR)
    for slopes, colour in zip(maps[:3], cv2.split(guide), strict=True):
        slope = cv2.resize(slopes, whole, interpolation=cv2.INTER_LINEAR)
        cv2.add(total, cv2.multiply(colour, slope, dtype=cv2.CV_32F), total)
    # Bytes saturate at both ends.
    return np.asarray(cv2.add(total, 0, dtype=cv2.CV_8U), np.uint8)


def _shaped(mask: Pixels, edge: float, grow: int) -> Pixels:
    """Return a mask wider or narrower by ``grow`` and softer by ``edge`` pixels."""
    if grow:
        side = 2 * abs(grow) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        mask = np.asarray((cv2.dilate if grow > 0 else cv2.erode)(mask, kernel), np.uint8)
    blur = 2 * math.floor(edge / 2) + 1
    return np.asarray(cv2.blur(mask, (blur, blur)), np.uint8) if blur > 1 else mask
