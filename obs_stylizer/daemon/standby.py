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

    Pictures are made once for each text and kept, so showing one costs nothing.
    """

    def __init__(self, size: FrameSize) -> None:
        self._size = size
        self._text = ""
        self._pictures: list[Pixels] = []

    def at(self, now: float, text: str) -> Pixels:
        """Return the picture for this moment: uint8 (height, width, 3). Not to be changed."""
        if text != self._text or not self._pictures:
            self._text = text
            self._pictures = [_draw(self._size, text, lit) for lit in range(_DOTS)]
        return self._pictures[int(now / _TURN_SECONDS * _DOTS) % _DOTS]


def _draw(size: FrameSize, text: str, lit: int) -> Pixels:
    ramp = np.linspace(0, 1, size.height, dtype=np.float32)[:, None, None]
    column = _TOP * (1 - ramp) + _BOTTOM * ramp
    picture: Pixels = np.ascontiguousarray(
        np.broadcast_to(np.round(column), size.shape).astype(np.uint8)
    )
    unit = size.height / 360
    centre = size.width // 2
    for index in range(_DOTS):
        cv2.circle(
            picture,
            (int(centre + (index - 1) * 22 * unit), int(size.height * 0.42)),
            max(1, int(5 * unit)),
            _INK if index == lit else _FAINT,
            cv2.FILLED,
            cv2.LINE_AA,
        )
    _write(picture, "One moment, please", 0.56, 0.7 * unit, _INK)
    if text:
        _write(picture, text, 0.66, 0.42 * unit, _FAINT)
    return picture


def _write(
    picture: Pixels, text: str, height: float, scale: float, colour: tuple[int, int, int]
) -> None:
    """Write one centred line, made smaller where it would not fit."""
    face, thickness = cv2.FONT_HERSHEY_DUPLEX, max(1, round(scale * 1.4))
    plain = text.encode("ascii", "replace").decode()
    (width, _), _ = cv2.getTextSize(plain, face, scale, thickness)
    room = picture.shape[1] * 0.9
    if width > room:
        scale *= room / width
        (width, _), _ = cv2.getTextSize(plain, face, scale, thickness)
    origin = (int((picture.shape[1] - width) / 2), int(picture.shape[0] * height))
    cv2.putText(picture, plain, origin, face, scale, colour, thickness, cv2.LINE_AA)
