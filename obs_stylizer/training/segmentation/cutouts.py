"""People cut out of their photographs by a published network, to be pasted into others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.segmentation.guided_filter import guided_mask
from obs_stylizer.training.pictures import read_picture, scale_to_short_side

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

SHORT_SIDE: Final = 448
"""Of a cut-out's photograph, in pixels: twice what a training sample has room for."""
_MARGIN: Final = 0.12
_STEEPNESS: Final = 1.6
_LEAST_SHARE: Final = 0.05
_TRACE: Final = 8
_LEAST_SIDE: Final = 64
_LEAST_AREA: Final = 96 * 96


@dataclass(frozen=True)
class Cutout:
    """A photograph of people, and where in it they are.

    Attributes:
        path: of the photograph.
        photograph: uint8 (H, W, 3).
        alpha: uint8 (H, W), 255 a person.
        people: uint8 (H, W, 3): the people's own colours, also where hair lets the room through.
    """

    path: Path
    photograph: Pixels
    alpha: Pixels
    people: Pixels


class PersonTeacher:
    """A published network for selfies, run on photographs that it was made for.

    Args:
        path: ONNX file of one input, float32 (1, S, S, 3), RGB, 0 to 1, and one output,
            (1, S, S, 1), 0 to 1.

    Raises:
        TrainingError: there is no such file, or it is of another form.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        if not path.is_file():
            raise TrainingError(f"there is no teacher {path}", "check segmentation.teacher")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as cause:
            raise TrainingError(f"the teacher {path} cannot be opened: {cause}") from cause
        (taken,) = self._session.get_inputs()
        self._name, self._side = taken.name, taken.shape[1]
        if not isinstance(self._side, int) or taken.shape != [1, self._side, self._side, 3]:
            raise TrainingError(f"the teacher {path} takes {taken.shape}, not (1, S, S, 3)")

    def mask(self, picture: Pixels) -> Floats:
        """Return how surely each pixel of ``picture`` is a person's, float32 (H, W), 0 to 1.

        Args:
            picture: uint8 (H, W, 3).
        """
        height, width = picture.shape[:2]
        side = (self._side, self._side)
        asked = cv2.resize(picture, side, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        found = self._session.run(None, {self._name: asked[None]})[0][0, ..., 0]
        return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR))

    def careful_mask(self, picture: Pixels) -> Floats:
        """Return the mean of four masks: mirrored or not, and with more room around or not."""
        height, width = picture.shape[:2]
        total = np.zeros((height, width), np.float32)
        for margin in (0, round(_MARGIN * max(height, width))):
            # Not below: there people go on beyond the picture.
            wide = cv2.copyMakeBorder(
                picture, margin, 0, margin, margin, borderType=cv2.BORDER_REPLICATE
            )
            for step in (1, -1):
                found = self.mask(np.ascontiguousarray(wide[:, ::step], np.uint8))[:, ::step]
                total += found[margin:, margin : margin + width]
        return np.clip(total / 4, 0, 1)


def cut_out(path: Path, teacher: PersonTeacher) -> Cutout:
    """Return the people in the photograph at ``path``.

    Raises:
        TrainingError: it cannot be read, or the teacher sees hardly anybody in it.
    """
    photograph = scale_to_short_side(read_picture(path), SHORT_SIDE)
    refined = guided_mask(photograph, teacher.careful_mask(photograph), radius=8)
    alpha = np.clip((refined - 0.5) * _STEEPNESS + 0.5, 0, 1)
    if float(alpha.mean()) < _LEAST_SHARE:
        raise TrainingError(f"the teacher finds nobody in {path}")
    rounded: Pixels = (alpha * 255 + 0.5).astype(np.uint8)
    return Cutout(path, photograph, rounded, _own_colours(photograph, alpha))


def cut_out_all(paths: Sequence[Path], teacher: PersonTeacher) -> list[Cutout]:
    """Return the cut-outs of all that can be used; what cannot is named in the log.

    Raises:
        TrainingError: none of them can.
    """
    found = []
    for path in paths:
        try:
            found.append(cut_out(path, teacher))
        except TrainingError as problem:
            logger.warning("skipped: %s", problem)
    if not found:
        raise TrainingError(f"none of the {len(paths)} pictures of people can be used")
    return found


def surroundings(entry: Cutout) -> Pixels | None:
    """Return the largest upright piece of a photograph at its left or right without people in it.

    It is what stands behind people, out of focus as often as not.

    Returns:
        uint8 (H, W, 3), or None where there is none worth the name.
    """
    # How far down each column is free, from the left and, mirrored, from the right.
    person = entry.alpha > _TRACE
    free = np.where(person.any(0), person.argmax(0), len(person))
    best, found = _LEAST_AREA, None
    for columns in (free, free[::-1]):
        heights = np.minimum.accumulate(columns)
        areas = heights * np.arange(1, len(heights) + 1)
        width = int(areas.argmax()) + 1
        if areas[width - 1] > best and width >= _LEAST_SIDE <= heights[width - 1]:
            best, piece = int(areas[width - 1]), entry.photograph[: heights[width - 1]]
            found = piece[:, :width] if columns is free else piece[:, -width:]
    return None if found is None else np.ascontiguousarray(found)


def _own_colours(photograph: Pixels, alpha: Floats) -> Pixels:
    """Return the people's colours without the room's, by blurring each side by itself.

    Forte 2021, "Approximate Fast Foreground Colour Estimation", one pass at a wide and one at a
    narrow blur.
    """
    picture = photograph.astype(np.float32)
    people = picture
    ground = picture
    shares = alpha[..., None]
    for size in (45, 7):
        weight = cv2.blur(alpha, (size, size))[..., None]
        mean_people = cv2.blur(people * shares, (size, size)) / (weight + 1e-5)
        mean_ground = cv2.blur(ground * (1 - shares), (size, size)) / (1 - weight + 1e-5)
        missing = picture - shares * mean_people - (1 - shares) * mean_ground
        people = np.clip(mean_people + shares * missing, 0, 255)
        ground = mean_ground
    rounded: Pixels = (people + 0.5).astype(np.uint8)
    return rounded
