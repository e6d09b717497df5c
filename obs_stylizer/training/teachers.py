"""Teachers: slow ways to make the picture that a generator should learn to make quickly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training import filters
from obs_stylizer.training.objective_recipes import PairedRecipe

Teacher = Callable[[Pixels], Pixels]
"""Turns a picture, uint8 (H, W, 3), into one of the same size."""

FILTERS: Final[Mapping[str, Teacher]] = {
    "comic": filters.comic,
    "ink": filters.ink,
    "neon": filters.neon,
    "oil": filters.oil,
    "pencil": filters.pencil,
}
"""Filters by the name that a recipe has for them."""


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
        return FILTERS[recipe.teacher]
    if model is not None:
        return ModelTeacher(model, recipe.teacher_mix)
    return None
