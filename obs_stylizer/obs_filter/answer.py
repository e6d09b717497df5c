"""How a frame of a filter in OBS is widened to the daemon's shape, and an answer cut out of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.obs_filter.alpha import premultiply
from obs_stylizer.obs_filter.layout import BYTES_PER_PIXEL


@dataclass(frozen=True, slots=True)
class Question:
    """What an answer needs of its frame.

    Attributes:
        sequence: OBS's number of it.
        size: its own.
        margins: by how much it was widened on each side, (x, y).
        alpha: uint8 (height, width), None where all of it is opaque.
    """

    sequence: int
    size: FrameSize
    margins: tuple[int, int]
    alpha: Pixels | None


def margins_for(width: int, height: int, canvas: FrameSize) -> tuple[int, int]:
    """Return by how much to widen a picture on each side, (x, y), to the shape of the canvas."""
    if width * canvas.height < height * canvas.width:
        return round((height * canvas.width / canvas.height - width) / 2), 0
    return 0, round((width * canvas.height / canvas.width - height) / 2)


def composed(
    styled: Pixels, question: Question, own_alpha: Pixels | None = None, *, mirrored: bool
) -> Pixels:
    """Return an answer: the part of the styled picture that is the frame, in the frame's alpha.

    Args:
        styled: uint8 (height, width, 3), RGB, of the widened frame's shape, of any size.
        question: what it answers.
        own_alpha: of the styled picture, uint8 (height, width); None where all of it is opaque.
        mirrored: left and right of the styled picture were exchanged.

    Returns:
        uint8 (height, width, 4), RGBA, premultiplied, of the size of the question.
    """
    width, height = question.size.width, question.size.height
    answer = np.empty((height, width, BYTES_PER_PIXEL), np.uint8)
    cv2.cvtColor(np.ascontiguousarray(_cut(styled, question)), cv2.COLOR_RGB2RGBA, dst=answer)
    alpha = question.alpha
    if alpha is not None and mirrored:
        alpha = alpha[:, ::-1]
    if own_alpha is not None:
        cut = _cut(own_alpha, question)
        alpha = cut if alpha is None else np.asarray(cv2.multiply(cut, alpha, scale=1 / 255))
    if alpha is not None:
        premultiply(answer, alpha)
    return answer


def _cut(picture: Pixels, question: Question) -> Pixels:
    """Return the part of a picture of the widened frame's shape that is the frame, in its size."""
    width, height = question.size.width, question.size.height
    x, y = question.margins
    if x or y:
        rows, columns = picture.shape[:2]
        left = round(columns * x / (width + 2 * x))
        top = round(rows * y / (height + 2 * y))
        picture = picture[top : rows - top, left : columns - left]
    if picture.shape[:2] != (height, width):
        smaller = picture.shape[1] > width or picture.shape[0] > height
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=how))
    return picture
