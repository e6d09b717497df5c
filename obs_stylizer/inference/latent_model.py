"""Generators that make pictures from noise: the contract of their files, and how they are run.

Such a generator is one ONNX file:

* input ``latent``: float32 (1, Z), standard normal;
* output ``picture``: uint8 (1, H, W, 3), RGB, of one fixed size.

Its ``metadata_props`` hold a :class:`LatentSpec` as JSON under :data:`METADATA_KEY`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from obs_stylizer.documents import Section
from obs_stylizer.errors import ModelError, ProviderError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference import model_spec
from obs_stylizer.inference.locate import find_model, model_files

if TYPE_CHECKING:
    import onnx

METADATA_KEY: Final = model_spec.LATENT_METADATA_KEY
LATENT_INPUT: Final = "latent"
PICTURE_OUTPUT: Final = "picture"

_FLOAT: Final = 1
_UINT8: Final = 2


class LatentSpec(Section):
    """What such a generator says about itself."""

    name: str = Field(min_length=1)
    """Short name; the file is NAME.onnx."""
    title: str = ""
    """Name for people."""
    licence: str = "unknown"
    """SPDX identifier or a short sentence."""
    author: str = ""
    """Who made it."""
    recipe_hash: str = ""
    """SHA-256 of the recipe it was trained with."""
    training_data: str = ""
    """What it was trained on."""
    latent: int = Field(ge=1)
    """Length Z of the noise vector."""
    size: int = Field(ge=1)
    """Side of the pictures, in pixels."""
    quality: dict[str, float] = Field(default_factory=dict)
    """Figures measured by ``evaluate``, by name."""


@dataclass(frozen=True)
class LatentModel:
    """A file that keeps the contract, as far as can be told without running it."""

    path: Path
    spec: LatentSpec
    frame_size: FrameSize


def load_latent_model(path: Path) -> LatentModel:
    """Read and check the file of a generator that makes pictures from noise.

    Raises:
        ModelError: it cannot be read, turns pictures into pictures, or breaks the contract.
    """
    # Reading protobufs takes half a second to import, and most sources need none.
    from obs_stylizer.inference.native_model import load_proto

    path = path.expanduser()
    model = load_proto(path)
    spec = latent_spec_of(model, path)
    inputs = _tensors(model.graph.input)
    outputs = _tensors(model.graph.output)
    if inputs != {LATENT_INPUT: (_FLOAT, (1, spec.latent))}:
        raise _broken(path, f"must take only “{LATENT_INPUT}”, float32 (1, {spec.latent})")
    kind, shape = outputs.get(PICTURE_OUTPUT, (0, ()))
    fits = len(outputs) == 1 and kind == _UINT8 and len(shape) == 4
    if not fits or shape[0] != 1 or shape[3] != 3 or min(shape) < 1:
        raise _broken(path, f"must give only “{PICTURE_OUTPUT}”, uint8 (1, height, width, 3)")
    return LatentModel(path, spec, FrameSize(shape[2], shape[1]))


def find_latent_model(model: str) -> LatentModel:
    """Return the generator that a user means, by name or by path.

    Raises:
        ModelError: there is none of that name, or it makes no pictures from noise.
    """
    try:
        path = find_model(model)
    except ModelError as cause:
        names = ", ".join(found.path.stem for found in latent_models())
        raise ModelError(
            cause.message, f"there are: {names}" if names else "train one, or name an .onnx file"
        ) from cause
    return load_latent_model(path)


def latent_models() -> list[LatentModel]:
    """Return those of the bundled and the user's own generators that make pictures from noise."""
    found = []
    for path in model_files().values():
        try:
            found.append(load_latent_model(path))
        except ModelError:
            # A style, or broken: ``models list`` tells of both.
            continue
    return found


class LatentSession:
    """A generator ready to run, on the CPU and on one thread.

    It shares the machine with the style that its pictures are turned into, and takes a few
    milliseconds; a second thread would only take time from that.

    Args:
        model: what to run.

    Raises:
        ProviderError: ONNX Runtime is missing, or cannot run this model.
    """

    def __init__(self, model: LatentModel) -> None:
        from obs_stylizer.inference.onnx_runtime import onnx_runtime

        runtime = onnx_runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.model = model
        try:
            # Bytes, because on Windows a path beyond the code page cannot be opened by name.
            self._session: Any = runtime.InferenceSession(
                model.path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as cause:
            # ONNX Runtime's own exceptions share no public base class.
            raise ProviderError(f"{model.path}: ONNX Runtime cannot run it: {cause}") from cause

    def run(self, latent: NDArray[np.float32]) -> Pixels:
        """Make a picture, uint8 (height, width, 3), of ``latent``, float32 (Z,).

        Raises:
            ProviderError: the run failed.
        """
        try:
            made = self._session.run([PICTURE_OUTPUT], {LATENT_INPUT: latent[np.newaxis]})
        except Exception as cause:
            raise ProviderError(f"{self.model.path}: the run failed: {cause}") from cause
        picture: Pixels = np.ascontiguousarray(made[0][0])
        return picture


def latent_spec_of(model: onnx.ModelProto, path: Path) -> LatentSpec:
    """Return the spec stored in ``model``; ``path`` is named in errors.

    Raises:
        ModelError: it has none, or a damaged one.
    """
    notes = {prop.key: prop.value for prop in model.metadata_props}
    if METADATA_KEY not in notes:
        if model_spec.METADATA_KEY in notes:
            raise ModelError(
                f"{path} turns pictures into pictures and makes none from noise",
                "use it in a preset, and another one as generator:NAME",
            )
        raise ModelError(
            f"{path} is no generator of pictures from noise of ours",
            "train one with a recipe of the objective generate, and export it",
        )
    try:
        return LatentSpec.model_validate_json(notes[METADATA_KEY])
    except ValidationError as cause:
        raise ModelError(f"{path}: its description is damaged", "export it again") from cause


def _tensors(values: Iterable[Any]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Return type and shape by name; a free dimension counts as 0."""
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in values
    }


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}", "export it again")
