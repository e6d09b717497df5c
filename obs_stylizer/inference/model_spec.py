"""The native generator's contract and what a model file says about itself.

A native generator is one ONNX file:

* input ``frame``: uint8 (1, H, W, 3), RGB, H and W free, multiples of ``size_multiple`` and at
  least ``least_side``;
* optional input ``rows``: float32 (1, R), the scales and shifts of the style, or a mixture of
  those of several (:mod:`obs_stylizer.inference.style_rows`); or, in older files, the input
  ``style``: float32 (1, S), weights that mix a fixed list of styles (they need not sum to 1 in a
  preset; they are normalised before they get here);
* optional input ``strength``: float32 (1,), 0 leaves the frame as it is;
* output ``stylized``: uint8, the shape of ``frame``; or, of a network that finds people,
  ``mask``: uint8 (1, H, W, 1), 255 a person.

Scaling, layout, clamping and casting are in the graph. Its ``metadata_props`` hold a
:class:`ModelSpec` as JSON under :data:`METADATA_KEY`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, ValidationError

from obs_stylizer.documents import Section
from obs_stylizer.errors import ModelError

if TYPE_CHECKING:
    import onnx

METADATA_KEY: Final = "obs_stylizer.model_spec"
LATENT_METADATA_KEY: Final = "obs_stylizer.latent_spec"
"""Under this, a generator that makes pictures from noise says what it is."""

FRAME_INPUT: Final = "frame"
STYLE_INPUT: Final = "style"
ROWS_INPUT: Final = "rows"
STRENGTH_INPUT: Final = "strength"
OUTPUT: Final = "stylized"
MASK_OUTPUT: Final = "mask"

ModelPrecision = Literal["f32", "f16", "int8"]


class ModelSpec(Section):
    """What a native generator says about itself."""

    name: str = Field(min_length=1)
    """Short name; the file is NAME.onnx, an int8 variant NAME.int8.onnx."""
    title: str = ""
    """Name for people."""
    version: str = "1"
    """Version of the model, not of the program."""
    licence: str = "unknown"
    """SPDX identifier or a short sentence."""
    author: str = ""
    """Who made it."""
    recipe_hash: str = ""
    """SHA-256 of the recipe it was trained with; empty for an adopted model."""
    size_multiple: int = Field(default=8, ge=1, le=256)
    """Width and height must be multiples of this, in pixels."""
    least_side: int = Field(default=1, ge=1, le=8192)
    """Width and height must be at least this, in pixels."""
    styles: tuple[str, ...] = ()
    """Names of the styles that the file brings, in order; empty where there is no choice."""
    weights_hash: str = ""
    """SHA-256 of the weights that all styles share, by which a style pack knows the generator it
    belongs to; empty where styles are no rows."""
    training_data: str = ""
    """What it was trained on."""
    precision: ModelPrecision = "f32"
    """Number format the weights are stored in."""
    coherence: Annotated[float, Field(ge=0, le=1)] | None = None
    """Coherence that suits it where a preset states none; None leaves it to the program."""
    keeps_in_half: bool = True
    """Whether bfloat16 and float16 leave its picture as it is; without, they are never chosen
    unasked."""
    enlarging: Literal["smooth", "nearest"] = "smooth"
    """How its pictures are brought to a larger output: interpolated, or with hard pixels."""
    quality: dict[str, float] = Field(default_factory=dict)
    """Figures measured by ``evaluate``, by name."""
    adopted_from: str = ""
    """File name of the foreign model this one wraps; empty for our own."""


def write_spec(model: onnx.ModelProto, spec: ModelSpec) -> None:
    """Put ``spec`` into the metadata of ``model``, replacing an older one."""
    kept = [prop for prop in model.metadata_props if prop.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=METADATA_KEY, value=spec.model_dump_json())


def spec_of(model: onnx.ModelProto, path: Path) -> ModelSpec:
    """Return the spec stored in ``model``; ``path`` is named in errors.

    Raises:
        ModelError: it has none (so it is a foreign model, or makes pictures from noise), or a
            damaged one.
    """
    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            try:
                return ModelSpec.model_validate_json(prop.value)
            except ValidationError as cause:
                raise ModelError(
                    f"{path}: the model's description is damaged", "export or adopt it again"
                ) from cause
    if any(prop.key == LATENT_METADATA_KEY for prop in model.metadata_props):
        raise ModelError(
            f"{path} makes pictures from noise and turns none into others",
            f"use it as --source generator:{path}",
        )
    raise ModelError(
        f"{path} is no native generator",
        f"make it one with: obs-stylizer models adopt {path} --output NAME.onnx",
    )
