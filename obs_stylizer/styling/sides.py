"""Person and background of a loaded preset, each with its own picture."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels
from obs_stylizer.motion.flow import Motion
from obs_stylizer.segmentation.composing import compose, show_mask
from obs_stylizer.segmentation.person_mask import PersonMask
from obs_stylizer.styling.side_pictures import SidePicture

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
SideName = Literal["person", "background"]
SIDES: Final[tuple[SideName, SideName]] = ("person", "background")

_NOBODY_FRAMES: Final = 300
_SOMEBODY: Final = 0.3


class Sides:
    """Puts the pictures of person and background together. One thread only.

    Args:
        mask: finds the person.
        pictures: what each side shows that no generator makes.
        layers: for the other sides, which layer of the preset: 0 the preset itself, 1 the second.

    Attributes:
        swapped: show what is meant for the person around it, and the reverse.
        keeps_alpha: where a side is transparent, show the other one everywhere instead of the
            colour that stands for nothing.
        alpha: of the last picture, uint8 (H, W), 255 opaque; None where all of it is.
        shows_mask: show the frame with everything but people dark, to set up by.
    """

    def __init__(
        self,
        mask: PersonMask,
        pictures: Mapping[SideName, SidePicture],
        layers: Mapping[SideName, int],
    ) -> None:
        self.mask = mask
        self.swapped = False
        self.shows_mask = False
        self.keeps_alpha = False
        self.alpha: Pixels | None = None
        self._pictures = dict(pictures)
        self._layers = dict(layers)
        self._without_people = 0

    @property
    def layers(self) -> list[int]:
        """The layers that are shown, each once."""
        return sorted(set(self._layers.values()))

    def picture_of(self, side: SideName) -> SidePicture | None:
        """Return what makes a side's picture; None where a generator does."""
        return self._pictures.get(side)

    def layer_of(self, side: SideName) -> int | None:
        """Return which layer of the preset makes a side's picture; None where none does."""
        return self._layers.get(side)

    def put_together(
        self,
        frame: Pixels,
        layers: Sequence[Pixels],
        motion: Motion | None,
        moment: float,
        target: Pixels,
    ) -> None:
        """Write the picture of a frame into ``target``.

        Args:
            frame: uint8 (H, W, 3), as it is, in the output's geometry.
            layers: finished picture of each layer, of the same size; may be ``target``.
            motion: that led to the frame; None where unknown.
            moment: of the frame, in seconds.
            target: uint8 (H, W, 3).
        """
        self.alpha = None
        found = self.mask.find(frame, motion)
        self._notice(found)
        if self.shows_mask:
            show_mask(self.mask.refine(frame, found), frame, target)
            return
        shares: dict[SideName, Floats] = {"person": found, "background": np.float32(1) - found}
        matte = self.mask.refine(frame, found)
        painted: dict[SideName, Pixels] = {}
        for place in SIDES:
            if matte.max() == 0 and place == "person":
                # Nobody is there to be painted.
                painted[place] = frame
                continue
            shown = SIDES[1 - SIDES.index(place)] if self.swapped else place
            picture = self._pictures.get(shown)
            painted[place] = (
                layers[self._layers[shown]]
                if picture is None
                else picture.paint(frame, shares[place], moment)
            )
        shown_alone = self._see_through(matte)
        if self.keeps_alpha and shown_alone is not None:
            np.copyto(target, painted[shown_alone])
            return
        compose(matte, painted["person"], painted["background"], target)

    def _see_through(self, matte: Pixels) -> SideName | None:
        """Note the alpha; return which place is not transparent, None where neither is."""
        for place in SIDES:
            other = SIDES[1 - SIDES.index(place)]
            picture = self._pictures.get(other if self.swapped else place)
            if picture is not None and picture.is_transparent:
                clear = matte if place == "person" else np.asarray(cv2.bitwise_not(matte), np.uint8)
                self.alpha = np.asarray(
                    cv2.convertScaleAbs(clear, alpha=-picture.strength, beta=255), np.uint8
                )
                return other
        return None

    def _notice(self, found: Floats) -> None:
        """Say once where nobody has been found for long: the preset then shows half of itself."""
        if float(found.max()) >= _SOMEBODY:
            self._without_people = 0
            return
        self._without_people += 1
        if self._without_people == _NOBODY_FRAMES:
            log.info("nobody is found in the frames; the background fills them")

    def reset(self) -> None:
        """Forget earlier frames, after a cut in the source."""
        self.mask.reset()
