"""Coherence: styled pictures that keep their strokes from frame to frame.

Each picture is mixed with the one before, carried along the motion of the plain frames (a
recursive average along trajectories, as M. Lang et al., *Practical Temporal Consistency for
Image-Based Graphics Applications*, SIGGRAPH 2012). An average of strokes that flicker is duller
than each of them, so what it lost of local contrast is given back.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels, size_of
from obs_stylizer.motion.carrying import Carrier
from obs_stylizer.motion.flow import Field, Motion, Share, shrunk

DEFAULT_COHERENCE: Final = 0.9
"""For a generator that does not say what suits it."""
FADE_IN: Final = (0.6, 0.45, 0.3)
"""Shares of what was shown before in the first frames of a new key picture, so that nothing pops.
Between key pictures there is no flicker to be calmed."""
MOST: Final = 0.95
"""Share of the last picture that is kept at most, so that nothing stays for good."""
_MOST_GAIN: Final = 2.0
_GIVEN_BACK: Final = 0.6
"""Of the contrast that is missing: some of it was flicker."""
_RESAMPLED: Final = 1.4
"""Gain for what bilinear weights take from a picture that moves by half a pixel and the like. What
stands still, or moves by whole pixels, gets none of it, or its edges would grow."""


_FORGOTTEN: Final = 0.02
"""Share of a picture that is no longer seen."""


class Coherence:
    """Calms one stream of styled pictures. One thread only.

    Args:
        share: of the carried picture where the motion is known, 0 to 1.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._last: Pixels | None = None
        self._carrier = Carrier(FrameSize(16, 16))
        self._relief: Coherence | None = None

    @property
    def last(self) -> Pixels | None:
        """The last picture, to be read only: all that is remembered. None after a cut."""
        return self._last

    def recall(self, last: Pixels | None) -> None:
        """Go on from the last picture of another."""
        self._last = None if last is None else last.copy()

    def reset(self) -> None:
        """Forget the past, after a cut."""
        self._last = None
        if self._relief is not None:
            self._relief.reset()

    def begin_anew(self) -> None:
        """Let another begin at the next picture, unseen until :meth:`change_over`.

        After :func:`run_up` pictures the two hardly differ, and from the change on, the past
        before this call does not count: what comes can be made again without it.
        """
        self._relief = Coherence(self.share)

    def change_over(self) -> None:
        """Go on as the other that :meth:`begin_anew` let begin, if there is one."""
        if self._relief is not None:
            self._last, self._relief = self._relief._last, None

    def show(self, styled: Pixels) -> Pixels:
        """Take a picture as it is for the past; it must not be written to any more."""
        self._last = styled
        return styled

    def fade(self, motion: Motion, styled: Pixels, share: float) -> Pixels:
        """Return ``styled`` with the carried picture before in it: for a few frames at most.

        It is quicker than calming and gives no contrast back.

        Args:
            motion: that led to the frame.
            styled: uint8 (height, width, 3).
            share: of the picture before, 0 to 1.
        """
        last = self._last
        if last is None or motion.cut or last.shape != styled.shape:
            return self.show(styled.copy())
        if motion.still:
            return self.show(cv2.addWeighted(last, share, styled, 1 - share, 0))
        carrier = self._carrier_for(styled)
        carried = carrier.carry(last, carrier.places(motion.back))
        kept = motion.confidence * np.float32(share)
        return self.show(carrier.mixed(carried, styled, kept))

    def _carrier_for(self, picture: Pixels) -> Carrier:
        size = size_of(picture)
        if self._carrier.size != size:
            self._carrier = Carrier(size)
        return self._carrier

    def __call__(self, motion: Motion, styled: Pixels) -> Pixels:
        """Return ``styled``, calmed: another array of its shape, to be read only.

        Args:
            motion: that led to the frame of which ``styled`` was made.
            styled: uint8 (height, width, 3).
        """
        if self._relief is not None:
            self._relief(motion, styled)
        last = self._last
        share = min(self.share, MOST)
        if last is None or motion.cut or share <= 0 or last.shape != styled.shape:
            self._last = styled.copy()
            return self._last
        carrier = self._carrier_for(styled)
        kept = motion.confidence * np.float32(share)
        if motion.still:
            self._last = as_sharp_as(styled, carrier.mixed(last, styled, kept))
        else:
            carried = carrier.carry(last, carrier.places(motion.back))
            lost = _RESAMPLED * kept * _between_pixels(motion.back, size_of(styled))
            self._last = as_sharp_as(styled, carrier.mixed(carried, styled, kept), lost)
        return self._last


def run_up(share: float) -> int:
    """Return after how many pictures the first one is no longer seen."""
    kept = min(max(share, 0.0), MOST)
    return math.ceil(math.log(_FORGOTTEN) / math.log(kept)) if kept > 0 else 0


def as_sharp_as(wanted: Pixels, picture: Pixels, lost: Share | None = None) -> Pixels:
    """Return ``picture`` with the local contrast of ``wanted``, where it has less.

    Args:
        wanted: uint8 (height, width, 3).
        picture: uint8, the same shape.
        lost: gain that is added, for what is known to be missing; of any smaller size.
    """
    missing = _detail(wanted) / _detail(picture) - 1
    gain = np.clip(_GIVEN_BACK * missing, 0, _MOST_GAIN)
    if lost is not None:
        gain += cv2.resize(lost, (gain.shape[1], gain.shape[0]), interpolation=cv2.INTER_AREA)
    # In whole 64ths, above the surroundings and below them apart, it takes half the time.
    whole = cv2.multiply(gain, 64.0, dtype=cv2.CV_8U)
    size = (picture.shape[1], picture.shape[0])
    wide = cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
    gains = cv2.merge([wide, wide, wide])
    soft = cv2.GaussianBlur(picture, (3, 3), 0)
    above = cv2.multiply(cv2.subtract(picture, soft), gains, scale=1 / 64)
    below = cv2.multiply(cv2.subtract(soft, picture), gains, scale=1 / 64)
    return np.asarray(cv2.subtract(cv2.add(picture, above), below), np.uint8)


def _between_pixels(back: Field, size: FrameSize) -> Share:
    """Return how far from whole pixels of a picture each way leads: 0, and 1/2 at the most."""
    ratios = np.array([size.width / back.shape[1], size.height / back.shape[0]], np.float32)
    way = back * ratios
    way -= np.rint(way)
    way = np.abs(way, out=way)
    x, y = cv2.split(way * (1 - way))
    return np.asarray(cv2.add(x, y))


def _detail(picture: Pixels) -> Share:
    """Return the mean strength of fine detail around each place, at a quarter of the size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    fine = cv2.absdiff(grey, cv2.GaussianBlur(grey, (3, 3), 0))
    size = FrameSize(max(1, picture.shape[1] // 4), max(1, picture.shape[0] // 4))
    small = shrunk(fine, size).astype(np.float32)
    return np.asarray(cv2.blur(small, (9, 9)) + np.float32(0.5))
