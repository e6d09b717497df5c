"""Teachers: slow ways to make the picture that a generator should learn to make quickly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training import filters
from obs_stylizer.training.objective_recipes import PairedRecipe

Teacher = Callable[[Pixels], Pixels]
"""Turns a picture, uint8 (H, W, 3), into one of the same size."""

FILTERS: Final[Mapping[str, Teacher]] = {
    "cel": filters.cel,
    "comic": filters.comic,
    "ink": filters.ink,
    "neon": filters.neon,
    "oil": filters.oil,
    "pencil": filters.pencil,
    "watercolour": filters.watercolour,
}
"""Filters by the name that a recipe has for them."""


class ModelTeacher:
    """A larger generator, as a native ONNX file.

    Args:
        model: a path, or the name of a bundled model or of the user's own.

    Attributes:
        path: its file.
        styles: names of the styles it mixes.

    Raises:
        ModelError: there is no such file, or it is no native generator.
    """

    def __init__(self, model: str | Path) -> None:
        import onnx
        import onnxruntime

        from obs_stylizer.inference.locate import find_model
        from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, spec_of
        from obs_stylizer.inference.style_rows import style_feed

        self.path = path = find_model(model)
        loaded = onnx.load(path)
        spec = spec_of(loaded, path)
        self.styles: tuple[str, ...] = tuple(spec.styles)
        options = onnxruntime.SessionOptions()
        # It runs beside the training, which has the cores.
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._multiple = spec.size_multiple
        self._frame, self._output = FRAME_INPUT, OUTPUT
        self._style = partial(style_feed, loaded, path)

    def paint(self, picture: Pixels, mix: Sequence[float] = ()) -> Pixels:
        """Return what the model makes of ``picture``; its sides must suit the model.

        Args:
            picture: uint8 (H, W, 3).
            mix: weight of each of its styles; empty for a model without.

        Raises:
            TrainingError: the sides do not suit it.
        """
        if any(side % self._multiple for side in picture.shape[:2]):
            raise TrainingError(
                f"the teacher takes sides that are multiples of {self._multiple}", "set data.crop"
            )
        feeds: dict[str, NDArray[Any]] = {self._frame: picture[None]}
        if self.styles:
            feeds |= self._style(mix)
        made: Pixels = self._session.run([self._output], feeds)[0][0]
        return made


def build_teacher(recipe: PairedRecipe, model: Path | None) -> Teacher | None:
    """Return the teacher of ``recipe``, or None where targets come from a folder.

    Args:
        recipe: which teacher.
        model: ``teacher_model``, as this machine has it.

    Raises:
        ModelError: the teacher's file cannot be used.
        TrainingError: ``teacher_mix`` does not suit it.
    """
    if recipe.teacher is not None:
        return FILTERS[recipe.teacher]
    if model is None:
        return None
    teacher, mix = ModelTeacher(model), recipe.teacher_mix
    if len(mix) != len(teacher.styles):
        raise TrainingError(
            f"the teacher {teacher.path} mixes {len(teacher.styles)} styles, but "
            f"paired.teacher_mix has {len(mix)} numbers"
        )
    return partial(teacher.paint, mix=mix)
