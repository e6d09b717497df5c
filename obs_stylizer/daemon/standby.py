"""The picture that is on air while there is no styled one."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels

_TOP: Final = np.array([38, 34, 58], np.float32)
_BOTTOM: Final = np.array([16, 15, 26], np.float32)
_INK: Final = (226, 224, 238)
_FAINT: Final = (128, 124, 152)
_DOTS: Final = 3
_TURN_SECONDS: Final = 1.5


class StandbyPicture:
    """Draws the standby picture: calm, dark, with a line of text and three turning dots.

    All but the line of text is drawn when it is made, since later it is drawn between two ticks.
    """

    def __init__(self, size: FrameSize) -> None:
        self._bare = _draw_bare(size)
        self._text = ""
        self._pictures: dict[int, Pixels] = {}

    def at(self, now: float, text: str) -> Pixels:
        """Return the picture for this moment: uint8 (height, width, 3). Not to be changed."""
        if text != self._text:
            self._text = text
            self._pictures.clear()
        lit = int(now / _TURN_SECONDS * _DOTS) % _DOTS
        if lit not in self._pictures:
            picture = self._bare[lit].copy()
            if text:
                _write(picture, text, 0.66, 0.42 * picture.shape[0] / 360, _FAINT)
            self._pictures[lit] = picture
        return self._pictures[lit]


def _draw_bare(size: FrameSize) -> list[Pixels]:
    """Return one picture for each dot that is lit, without the line of text."""
    ramp = np.linspace(0, 1, size.height, dtype=np.float32)[:, None, None]
    column = np.round(_TOP * (1 - ramp) + _BOTTOM * ramp).astype(np.uint8)
    unit = size.height / 360
    ground: Pixels = np.ascontiguousarray(np.broadcast_to(column, size.shape))
    _write(ground, "One moment, please", 0.56, 0.7 * unit, _INK)
    pictures = []
    for lit in range(_DOTS):
        picture = ground.copy()
        for index in range(_DOTS):
            x = int(size.width // 2 + (index - 1) * 22 * unit)
            colour = _INK if index == lit else _FAINT
            place, radius = (x, int(size.height * 0.42)), max(1, int(5 * unit))
            cv2.circle(picture, place, radius, colour, cv2.FILLED, cv2.LINE_AA)
        pictures.append(picture)
    return pictures


def _write(
    picture: Pixels, text: str, height: float, scale: float, colour: tuple[int, int, int]
) -> None:
    """Write one centred line, made smaller where it would not fit."""
    face, thickness = cv2.FONT_HERSHEY_DUPLEX, max(1, round(scale * 1.4))
    # These strokes know ASCII only.
    plain = text.encode("ascii", "replace").decode()
    (width, _), _ = cv2.getTextSize(plain, face, scale, thickness)
    room = picture.shape[1] * 0.9
    if width > room:
        scale *= room / width
        (width, _), _ = cv2.getTextSize(plain, face, scale, thickness)
    origin = (int((picture.shape[1] - width) / 2), int(picture.shape[0] * height))
    cv2.putText(picture, plain, origin, face, scale, colour, thickness, cv2.LINE_AA)
