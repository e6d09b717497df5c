"""Masks of a stream of frames: found anew in each, calm from one to the next, sharp at its size.

The network looks at a small copy of the very frame that is shown, so a mask is never late. Where
the frame's motion is known, it is mixed with the mask before, carried along (as
:mod:`obs_stylizer.motion.coherence` does with pictures); where something was covered or came into
view, it is taken as it is. Then it is brought to the edges of the frame at its full size.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels, size_of
from obs_stylizer.motion.carrying import Carrier
from obs_stylizer.motion.flow import Motion, MotionEstimator
from obs_stylizer.segmentation.guided_filter import guided_coefficients
from obs_stylizer.segmentation.mask_session import MaskSession

Floats = NDArray[np.float32]

KEPT: Final = 0.8
"""Share of the mask before, where the motion is known."""
_RADIUS: Final = 4
_STEEPNESS: Final = 1.5
_NOTHING: Final = 0.06
"""Under this a mask holds nobody."""


class PersonMask:
    """Makes the masks of one stream of frames. One thread only.

    Args:
        session: finds people; may serve several streams of one thread.
        edge: softness of the edge, in pixels of the frames.
        grow: pixels by which the mask is wider than the person.
    """

    def __init__(self, session: MaskSession, edge: float = 0.0, grow: int = 0) -> None:
        self._session = session
        self._edge, self._grow = edge, grow
        self._motion = MotionEstimator()
        self._carrier = Carrier(session.size)
        self._seen: Pixels = np.zeros(session.size.shape, np.uint8)
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
        self._seen = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
        found = self._session.run(self._seen).astype(np.float32) * np.float32(1 / 255)
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
        refined = _follow_edges(frame, self._seen, found)
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


def _follow_edges(frame: Pixels, small: Pixels, found: Floats) -> Floats:
    """Return a mask at the size of ``frame``, with its edges (He & Sun 2015, "Fast Guided Filter").

    The linear maps from colours to mask are found on small copies and applied at full size.
    """
    height, width = frame.shape[:2]
    maps = guided_coefficients(small, found, _RADIUS)
    whole = (width, height)
    # Steeper about the middle, which goes into the maps at no cost.
    maps[..., :3] *= np.float32(_STEEPNESS / 255)
    maps[..., 3] = (maps[..., 3] - 0.5) * _STEEPNESS + 0.5
    total = cv2.resize(np.ascontiguousarray(maps[..., 3]), whole, interpolation=cv2.INTER_LINEAR)
    for channel in range(3):
        slope = cv2.resize(
            np.ascontiguousarray(maps[..., channel]), whole, interpolation=cv2.INTER_LINEAR
        )
        colour = cv2.extractChannel(frame, channel)
        cv2.add(total, cv2.multiply(colour, slope, dtype=cv2.CV_32F), total)
    return np.asarray(total)


def _shaped(mask: Floats, edge: float, grow: int) -> Pixels:
    """Return a mask as bytes, wider or narrower by ``grow`` and softer by ``edge`` pixels."""
    # Bytes saturate at both ends.
    shaped = cv2.max(mask, 0.0)
    shaped = cv2.convertScaleAbs(shaped, alpha=255)
    if grow:
        side = 2 * abs(grow) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        shaped = (cv2.dilate if grow > 0 else cv2.erode)(shaped, kernel)
    blur = 2 * math.floor(edge / 2) + 1
    if blur > 1:
        shaped = cv2.blur(shaped, (blur, blur))
    return np.asarray(shaped, np.uint8)
