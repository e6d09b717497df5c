"""Teachers: slow ways to make the picture that a generator should learn to make quickly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.objective_recipes import PairedRecipe

Teacher = Callable[[Pixels], Pixels]
"""Turns a picture, uint8 (H, W, 3), into one of the same size."""

SMOOTHINGS = 4
LEVELS = 8


def comic(picture: Pixels) -> Pixels:
    """Return flat colours with dark outlines (Winnemöller et al. 2006).

    Repeated bilateral filters flatten what lies between edges, the lightness is drawn softly
    towards eight levels, and a difference of Gaussians gives the outlines.
    """
    smooth: NDArray[np.uint8] = picture
    for _ in range(SMOOTHINGS):
        smooth = np.asarray(cv2.bilateralFilter(smooth, 7, 28, 4), np.uint8)
    lab = cv2.cvtColor(smooth.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    step = 100 / LEVELS
    nearest = np.round(lab[..., 0] / step) * step
    lab[..., 0] = nearest + step / 2 * np.tanh(3 * (lab[..., 0] - nearest) / step)
    flat = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    grey = cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    difference = _blur(grey, 0.9) - 0.98 * _blur(grey, 1.44)
    lines = np.where(difference > 0, 1.0, 1.0 + np.tanh(75 * difference))
    return _to_bytes(flat * lines[..., None])


def ink(picture: Pixels) -> Pixels:
    """Return black lines and areas on white (XDoG, Winnemöller et al. 2012)."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    sharpened = 21 * _blur(grey, 1.0) - 20 * _blur(grey, 1.6)
    drawn = np.where(sharpened > 0.5, 1.0, 1.0 + np.tanh(6 * (sharpened - 0.5)))
    return _to_bytes(np.repeat(drawn[..., None], 3, axis=2))


class ModelTeacher:
    """A larger generator, as a native ONNX file.

    Args:
        path: the file.
        mix: its style vector, empty for none.

    Raises:
        TrainingError: it is no native generator, or ``mix`` is not as long as its styles.
    """

    def __init__(self, path: Path, mix: tuple[float, ...]) -> None:
        import onnx
        import onnxruntime

        from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, STYLE_INPUT, spec_of

        if not path.is_file():
            raise TrainingError(f"there is no teacher {path}", "check paired.teacher_model")
        spec = spec_of(onnx.load(path), path)
        if len(mix) != len(spec.styles):
            raise TrainingError(
                f"the teacher {path} mixes {len(spec.styles)} styles, but paired.teacher_mix has "
                f"{len(mix)} numbers"
            )
        options = onnxruntime.SessionOptions()
        # It runs beside the training, which has the cores.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._multiple = spec.size_multiple
        self._frame, self._output = FRAME_INPUT, OUTPUT
        self._feeds = {STYLE_INPUT: np.array([mix], np.float32)} if mix else {}

    def __call__(self, picture: Pixels) -> Pixels:
        """Return what the model makes of ``picture``; its sides must suit the model.

        Raises:
            TrainingError: they do not.
        """
        if any(side % self._multiple for side in picture.shape[:2]):
            raise TrainingError(
                f"the teacher takes sides that are multiples of {self._multiple}", "set data.crop"
            )
        made: Pixels = self._session.run(
            [self._output], {self._frame: picture[None], **self._feeds}
        )[0][0]
        return made


def build_teacher(recipe: PairedRecipe, model: Path | None) -> Teacher | None:
    """Return the teacher of ``recipe``, or None where targets come from a folder.

    Args:
        recipe: which teacher.
        model: where ``teacher_model`` is on this machine.

    Raises:
        TrainingError: the teacher's file cannot be used.
    """
    if recipe.teacher is not None:
        return {"comic": comic, "ink": ink}[recipe.teacher]
    if model is not None:
        return ModelTeacher(model, recipe.teacher_mix)
    return None


def _blur(grey: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma), np.float32)


def _to_bytes(picture: NDArray[np.floating]) -> Pixels:
    return np.ascontiguousarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))
