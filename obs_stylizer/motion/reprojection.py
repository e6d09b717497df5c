"""Reprojection: pictures for frames that no generator has seen.

The newest key picture, as a generator's is called here, is carried to each frame along the flow
accumulated since the frame it was made of. It is resampled once only, however far it is carried.
Where the frame shows what the key's frame did not, the frame's own colours are brought over to
the style as far as an affine map of colours and the neighbourhood can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels, size_of
from obs_stylizer.motion.carrying import Carrier, joined
from obs_stylizer.motion.flow import Field, Motion, Share, alike, explained, grid, shrunk

_HOLES_FROM: Final = 0.002
"""Share of a frame below which holes are left to what is carried into them."""
_SHARPEN: Final = 0.15
_REACH: Final = (15, 15)
"""Window, in pixels of the small frames, from which a hole takes its shade."""


@dataclass(slots=True)
class _Key:
    """A frame given to the generator, and its picture once that is there.

    Attributes:
        frame: the small plain frame.
        way: from each pixel of the newest frame back to its place in ``frame``.
        belief: how far the way can be believed.
        picture: of any size; None while it is being made.
        colours: the map from the frame's colours to the picture's, once it is needed.
        sharp: the picture with the detail that carrying it takes, once it is carried.
    """

    frame: Pixels
    way: Field
    belief: Share
    picture: Pixels | None = None
    colours: NDArray[np.float64] | None = None
    sharp: Pixels | None = None


class Reprojector:
    """Carries key pictures of one stream of frames. One thread only."""

    def __init__(self) -> None:
        self._newest: _Key | None = None
        self._awaited: _Key | None = None
        self._frame: Pixels | None = None
        self._grid: Field = np.empty((0, 0, 2), np.float32)
        self._carrier = Carrier(FrameSize(16, 16))

    @property
    def has_picture(self) -> bool:
        """Whether there is a key picture to carry."""
        return self._newest is not None

    @property
    def is_of_newest_frame(self) -> bool:
        """Whether the key picture was made of the newest frame, or of one that looks the same."""
        return self._newest is not None and not self._newest.way.any()

    @property
    def is_at_rest(self) -> bool:
        """Whether the newest frame shows what that of the key picture did."""
        key, frame = self._newest, self._frame
        return (
            key is not None
            and frame is not None
            and self.is_of_newest_frame
            and alike(key.frame, frame)
        )

    @property
    def is_waiting(self) -> bool:
        """Whether a picture was announced that has not come yet."""
        return self._awaited is not None

    def reset(self) -> None:
        """Forget every picture; one that is awaited is not taken any more."""
        self._newest = self._awaited = None

    def advance(self, motion: Motion, frame: Pixels) -> None:
        """Go on to the next frame: after a cut nothing of what was can be carried.

        Args:
            motion: that led to the frame.
            frame: as small as the motion, uint8 (height, width, 3).
        """
        self._frame = frame
        if motion.cut:
            self.reset()
        elif not motion.still:
            if self._grid.shape != motion.back.shape:
                self._grid = grid(size_of(frame))
            places = cv2.add(self._grid, motion.back)
            for key in (self._newest, self._awaited):
                if key is not None:
                    key.way = joined(motion.back, key.way, places)
                    carried = cv2.remap(key.belief, places, None, cv2.INTER_LINEAR)
                    key.belief = cv2.min(carried, motion.confidence)

    def announce(self) -> None:
        """Say that a picture of the newest frame is being made; an earlier one is given up."""
        if self._frame is None:
            raise RuntimeError("no frame was ever seen")
        shape = self._frame.shape[:2]
        way, belief = np.zeros((*shape, 2), np.float32), np.ones(shape, np.float32)
        self._awaited = _Key(self._frame, way, belief)

    def take(self, picture: Pixels) -> bool:
        """Take the picture announced last; return False where a cut came in between.

        Args:
            picture: uint8 (height, width, 3); kept, so the caller must not write to it.
        """
        key, self._awaited = self._awaited, None
        if key is None:
            return False
        key.picture = picture
        self._newest = key
        return True

    def give_up(self) -> None:
        """Forget the picture that is awaited; it will not come."""
        self._awaited = None

    def picture(self) -> Pixels | None:
        """Return the picture of the newest frame, to be read only; None where there is none."""
        key, frame = self._newest, self._frame
        if key is None or key.picture is None or frame is None:
            return None
        if not key.way.any():
            return key.picture
        size = size_of(key.picture)
        if self._carrier.size != size:
            self._carrier = Carrier(size)
        if key.sharp is None:
            soft = cv2.GaussianBlur(key.picture, (3, 3), 0)
            key.sharp = np.asarray(cv2.addWeighted(key.picture, 1 + _SHARPEN, soft, -_SHARPEN, 0))
        carried = self._carrier.carry(key.sharp, self._carrier.places(key.way))
        seen = cv2.multiply(
            key.belief, explained(key.frame, cv2.add(self._grid, key.way), frame), dtype=cv2.CV_32F
        )
        if 1 - cv2.mean(seen)[0] < _HOLES_FROM:
            return carried
        filling = self._filling(key, carried, frame, seen)
        return self._carrier.mixed(carried, filling, seen)

    def _filling(self, key: _Key, carried: Pixels, frame: Pixels, seen: Share) -> Pixels:
        """Return the frame in the colours of the style, at the size of ``carried``."""
        size = size_of(frame)
        if key.colours is None:
            assert key.picture is not None
            key.colours = _colour_map(key.frame, shrunk(key.picture, size))
        mapped = cv2.transform(frame.astype(np.float32), key.colours)
        around = shrunk(carried, size).astype(np.float32)
        weight = cv2.merge([seen, seen, seen])
        missing = cv2.blur(cv2.multiply(cv2.subtract(around, mapped), weight), _REACH)
        shade = cv2.divide(missing, cv2.add(cv2.blur(weight, _REACH), (0.02,) * 4))
        filled = np.clip(cv2.add(mapped, shade), 0, 255).astype(np.uint8)
        filling: Pixels = cv2.resize(filled, (self._carrier.size.width, self._carrier.size.height))
        return filling


def _colour_map(frame: Pixels, styled: Pixels) -> NDArray[np.float64]:
    """Return the affine map of colours that comes nearest: float64 (3, 4)."""
    colours = frame[::3, ::3].reshape(-1, 3).astype(np.float64)
    wanted = styled[::3, ::3].reshape(-1, 3).astype(np.float64)
    inputs = np.column_stack([colours, np.ones(len(colours))])
    # A frame of few colours leaves most of the map open; a little of the identity closes it.
    towards = np.eye(4)[:, :3]
    weight = 1e-3 * len(colours)
    left = inputs.T @ inputs + weight * np.eye(4)
    solved = np.linalg.solve(left, inputs.T @ wanted + weight * towards)
    return np.ascontiguousarray(solved.T)
