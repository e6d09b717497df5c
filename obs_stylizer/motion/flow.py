"""Optical flow between consecutive frames, and how far it can be believed.

The flow is found by dense inverse search (T. Kroeger et al., *Fast Optical Flow using Dense
Inverse Search*, ECCV 2016) on small frames. It runs backwards, from each frame to the one before,
because that is the direction in which a picture is carried: every pixel asks where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels, size_of

Field = NDArray[np.float32]
"""float32 (height, width, 2): x and y of a displacement, in pixels of the field itself."""
Share = NDArray[np.float32]
"""float32 (height, width), 0 to 1."""

LARGEST_WIDTH: Final = 160
"""Of the frames that the flow is found on. Twice as wide it brings a carried picture a third of a
decibel nearer to the true one, for four times the time."""
_LEAST_SIDE: Final = 32
"""DIS needs a few patches each way."""

_STRIDE: Final = 4
_STEPS: Final = 6
_EXPLAINED: Final = 12.0
_UNEXPLAINED: Final = 30.0
"""Levels of 255 between a frame and its carried predecessor: fully, and no longer, believed."""
_BELIEF: Final = np.clip(
    (_UNEXPLAINED - np.arange(256, dtype=np.float32)) / (_UNEXPLAINED - _EXPLAINED), 0, 1
)
_STEADY: Final = 2.0
_FADING: Final = 8.0
"""Levels of 255 by which the mean of a neighbourhood may change: fully, and no longer, believed.
Noise and texture leave a mean alone; what changes it is a fade, and a picture kept through a fade
would come late by as many frames as it is kept."""
_SLOW: Final = 0.75
"""Pixels; only slower flow can be camera noise."""
_ALIKE: Final = 3.0
"""Levels by which the mean of 2×2 pixels may change in a picture that stands still."""
_CUT_BELOW: Final = 0.12
"""Share of a frame that must be explained by its predecessor."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a frame follows from the one before.

    Attributes:
        back: for each pixel, the way to where it was in the frame before.
        confidence: how far that can be believed; 0 where something was hidden, came into view or
            changed its colour.
        cut: nothing of the frame before can be found in this one, or there was none.
        still: nothing moved and nothing changed but for noise.
    """

    back: Field
    confidence: Share
    cut: bool
    still: bool


def flow_size(size: FrameSize) -> FrameSize:
    """Return the size at which the motion of frames of ``size`` is found."""
    scale = max(1.0, size.width / LARGEST_WIDTH)
    return FrameSize(
        max(_LEAST_SIDE, round(size.width / scale)), max(_LEAST_SIDE, round(size.height / scale))
    )


def shrunk(picture: Pixels, size: FrameSize) -> Pixels:
    """Return a picture, or one channel of it, at a smaller size: the mean of each area."""
    # Halved again and again it takes a third of the time.
    while picture.shape[1] >= 2 * size.width and not (picture.shape[0] % 2 or picture.shape[1] % 2):
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    small: Pixels = cv2.resize(picture, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return small


def grid(size: FrameSize) -> Field:
    """Return the place of every pixel: float32 (height, width, 2), x and y."""
    x, y = np.meshgrid(
        np.arange(size.width, dtype=np.float32), np.arange(size.height, dtype=np.float32)
    )
    return np.dstack([x, y])


def sampled(picture: Pixels, where: Field) -> Pixels:
    """Return what ``picture`` shows at each of some places, between pixels the bilinear mean.

    Args:
        picture: uint8 (height, width, 3); its border goes on without end.
        where: float32 (any height, any width, 2), in pixels of ``picture``.
    """
    # OpenCV is twice as quick with four channels as with three.
    four = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
    four = cv2.remap(four, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    found: Pixels = cv2.cvtColor(four, cv2.COLOR_RGBA2RGB)
    return found


def alike(one: Pixels, other: Pixels) -> bool:
    """Whether two small frames show the same but for noise."""
    if one.shape != other.shape:
        return False
    half = (one.shape[1] // 2, one.shape[0] // 2)
    means = [cv2.resize(picture, half, interpolation=cv2.INTER_AREA) for picture in (one, other)]
    return float(cv2.absdiff(*means).max()) <= _ALIKE


class MotionEstimator:
    """Follows frames of one size after another; a change of size counts as a cut."""

    def __init__(self) -> None:
        self._search = _dense_inverse_search()
        self._size: FrameSize | None = None
        self._grid: Field = np.empty((0, 0, 2), np.float32)
        self._colour: Pixels | None = None
        self._grey: Pixels | None = None

    @property
    def before(self) -> Pixels | None:
        """The last small frame; None at the beginning."""
        return self._colour

    def reset(self) -> None:
        """Forget the last frame, so that the next one counts as a cut."""
        self._colour = self._grey = None

    def go_on(self, other: MotionEstimator) -> None:
        """Go on from where another is, which has followed the same frames."""
        self._colour, self._grey = other._colour, other._grey

    def recall(self, before: Pixels | None) -> None:
        """Go on from the last frame of another, small or as it was observed."""
        self._grey = self._colour = None
        if before is not None:
            self._colour = shrunk(before, flow_size(size_of(before)))

    def observe(self, frame: Pixels) -> Motion:
        """Return the motion that led to ``frame``: uint8 (height, width, 3), RGB."""
        size = flow_size(size_of(frame))
        if size != self._size:
            self._size, self._grid = size, grid(size)
        colour = shrunk(frame, size)
        grey: Pixels = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
        last_colour, last_grey = self._colour, self._grey
        if last_colour is not None and last_colour.shape == colour.shape and last_grey is None:
            last_grey = cv2.cvtColor(last_colour, cv2.COLOR_RGB2GRAY)
        self._colour, self._grey = colour, grey
        if last_colour is None or last_grey is None or last_colour.shape != colour.shape:
            return _cut(colour)
        if alike(last_colour, colour):
            shape = colour.shape[:2]
            return Motion(
                np.zeros((*shape, 2), np.float32), np.ones(shape, np.float32), False, True
            )
        return self._moved(last_colour, last_grey, colour, grey)

    def _moved(
        self, last_colour: Pixels, last_grey: Pixels, colour: Pixels, grey: Pixels
    ) -> Motion:
        back: Field = self._search.calc(grey, last_grey, None)
        back = self._without_noise(back, last_grey, grey)
        where = cv2.add(self._grid, back)
        height, width = grey.shape
        x, y = cv2.split(where)
        inside = cv2.bitwise_and(
            cv2.inRange(x, -0.5, width - 0.5), cv2.inRange(y, -0.5, height - 0.5)
        )
        found = explained(last_colour, where, colour) * _steady(last_grey, where, grey)
        found = cv2.copyTo(found, inside)
        confidence: Share = cv2.blur(found, (3, 3))
        if cv2.mean(confidence)[0] < _CUT_BELOW:
            return _cut(colour)
        return Motion(back, confidence, False, False)

    def _without_noise(self, back: Field, last_grey: Pixels, grey: Pixels) -> Field:
        """Return the flow with nothing where standing still explains the frame just as well.

        On flat ground the search follows camera noise, and texture carried along it would crawl.
        """
        where = cv2.add(self._grid, back)
        carried = cv2.remap(
            last_grey, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        moving = _mean_around(cv2.absdiff(carried, grey))
        resting = _mean_around(cv2.absdiff(last_grey, grey))
        gain = (resting - 1.1 * moving - 0.05) / (0.15 * moving + 0.15)
        swift = cv2.subtract(cv2.magnitude(*cv2.split(back)), _SLOW)
        moves = cv2.blur(np.clip(cv2.max(gain, swift), 0, 1), (3, 3))
        return np.asarray(cv2.multiply(back, cv2.merge([moves, moves])))


def explained(picture: Pixels, where: Field, frame: Pixels) -> Share:
    """Return how well ``picture``, carried to ``frame``, shows what the frame does.

    Args:
        picture: uint8 (height, width, 3).
        where: for each pixel of ``frame`` its place in ``picture``.
        frame: uint8, the shape of ``picture``.
    """
    carried = sampled(picture, where)
    red, green, blue = cv2.split(cv2.blur(cv2.absdiff(carried, frame), (3, 3)))
    share: Share = cv2.LUT(cv2.max(cv2.max(red, green), blue), _BELIEF)
    return share


def _steady(last_grey: Pixels, where: Field, grey: Pixels) -> Share:
    """Return how far each neighbourhood is as bright as where it comes from."""
    carried = cv2.remap(last_grey, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = np.abs(_mean_around(grey) - _mean_around(carried))
    return np.asarray(np.clip((_FADING - change) / (_FADING - _STEADY), 0, 1))


def _mean_around(grey: NDArray[np.uint8]) -> Share:
    """Return the mean of 7×7 pixels around each, in levels."""
    return np.asarray(cv2.boxFilter(grey, cv2.CV_32F, (7, 7)))


def _cut(frame: Pixels) -> Motion:
    shape = frame.shape[:2]
    return Motion(np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32), True, False)


def _dense_inverse_search() -> Any:
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)  # type: ignore[attr-defined]
    search.setFinestScale(0)
    search.setGradientDescentIterations(_STEPS)
    search.setPatchStride(_STRIDE)
    return search
