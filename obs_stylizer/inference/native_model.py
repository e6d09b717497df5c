"""Reading a native generator's file and refusing, in words, every file that is none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from obs_stylizer.errors import ModelError, UsageError
from obs_stylizer.frames import MAX_SIDE, FrameSize
from obs_stylizer.inference.external_data import check_external_data
from obs_stylizer.inference.locate import variant_of
from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    MASK_OUTPUT,
    OUTPUT,
    ROWS_INPUT,
    STRENGTH_INPUT,
    STYLE_INPUT,
    ModelSpec,
    spec_of,
)
from obs_stylizer.inference.session import Precision
from obs_stylizer.inference.style_rows import StyleRows, read_rows

MAX_BYTES: Final = 2**31 - 1
"""A protobuf message cannot be larger."""

_AGAIN: Final = "download or export it again"

Dimensions = tuple[int | str, ...]
"""Shape of an input or output: numbers where fixed, names (or "") where free."""


@dataclass(frozen=True)
class NativeModel:
    """A model file that keeps the native contract, as far as can be told without running it.

    Attributes:
        path: the file, absolute, as it was named: links are not followed.
        spec: what it says about itself.
        frame: shape of the ``frame`` input, (1, height, width, 3).
        style_input: name of the input that tells the style, ``rows`` or ``style``; "" without.
        style_length: how many numbers it takes; 0 without.
        has_strength: whether there is a ``strength`` input.
        opset: version of the standard operators.
        rows: of the styles that the file brings, where the input is ``rows``.
        output: name of the output.
    """

    path: Path
    spec: ModelSpec
    frame: Dimensions
    style_input: str
    style_length: int
    has_strength: bool
    opset: int
    rows: StyleRows | None = None
    output: str = OUTPUT

    @cached_property
    def sha256(self) -> str:
        """Hash of the file, by which caches know it."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def made_shape(self, size: FrameSize) -> tuple[int, int, int, int]:
        """Return the shape of what comes out for a frame of ``size``."""
        return (1, size.height, size.width, 1 if self.output == MASK_OUTPUT else 3)

    @property
    def free_dimensions(self) -> dict[str, str]:
        """Names of the free dimensions of ``frame``, by what they are: batch, height, width."""
        names = zip(("batch", "height", "width"), self.frame, strict=False)
        return {what: name for what, name in names if isinstance(name, str) and name}

    def variant(self, precision: Precision) -> Path | None:
        """Return the file beside this one with weights of that precision, if there is one."""
        return variant_of(self.path, precision)

    def nearest_size(self, size: FrameSize) -> FrameSize:
        """Return the size nearest to ``size`` that the generator takes."""
        height, width = self.frame[1:3]
        if isinstance(height, int) and isinstance(width, int):
            return FrameSize(width, height)
        multiple = self.spec.size_multiple
        least = -(-self.spec.least_side // multiple) * multiple
        # Larger in proportion, so that the picture keeps its shape.
        factor = max(1.0, least / min(size.width, size.height))
        larger = FrameSize(round(size.width * factor), round(size.height * factor))
        rounded = larger.rounded_to(multiple)
        return FrameSize(max(least, rounded.width), max(least, rounded.height))

    def check_size(self, size: FrameSize) -> None:
        """Refuse a frame size that the generator cannot take.

        Raises:
            UsageError: a side is not positive or larger than 8192 pixels.
            ModelError: it is not a multiple the model states, too small for it, or the model's
                size is fixed.
        """
        if not (0 < size.width <= MAX_SIDE and 0 < size.height <= MAX_SIDE):
            raise UsageError(
                f"frame size {size} is out of range",
                f"each side must lie between 1 and {MAX_SIDE} pixels",
            )
        fixed = (self.frame[2], self.frame[1])
        for given, allowed in zip((size.width, size.height), fixed, strict=True):
            if isinstance(allowed, int) and given != allowed:
                raise ModelError(
                    f"{self.path}: works at {fixed[0]}x{fixed[1]} only, not at {size}",
                    "set the process size to that",
                )
        multiple = self.spec.size_multiple
        if size.width % multiple or size.height % multiple:
            raise ModelError(
                f"{self.path}: frame size {size} is no multiple of {multiple} pixels",
                f"the nearest is {self.nearest_size(size)}",
            )
        if min(size.width, size.height) < self.spec.least_side:
            raise ModelError(
                f"{self.path}: needs sides of {self.spec.least_side} pixels or more, not {size}",
                f"the nearest is {self.nearest_size(size)}",
            )


def load_proto(path: Path) -> onnx.ModelProto:
    """Read any ONNX file, native or foreign, without the weights it keeps in other files.

    Raises:
        ModelError: it is missing, empty, too large, truncated, no ONNX, or lacks a weights file.
    """
    if path.is_dir():
        raise ModelError(f"{path} is a folder", "name the .onnx file in it")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(
                f"{path}: {size / 1e9:.1f} GB is more than an ONNX file can hold (2 GB)",
                "export its weights as external data, or take a smaller model",
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(
            f"there is no model file {path}", "see: obs-stylizer models list"
        ) from None
    except OSError as cause:
        raise ModelError(f"{path}: cannot be read: {cause.strerror or cause}") from cause
    if not content:
        raise ModelError(f"{path} is empty", _AGAIN)
    if content.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is only a pointer to the model", "run: git lfs pull")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RecursionError) as cause:
        raise ModelError(f"{path} is truncated or no ONNX file", _AGAIN) from cause
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise ModelError(f"{path} is truncated or no ONNX file", _AGAIN)
    check_external_data(model, path)
    return model


def load_native_model(path: Path) -> NativeModel:
    """Read and check a native generator's file.

    Raises:
        ModelError: it cannot be read, is a foreign model (the remedy says how to adopt it), or
            breaks the contract.
    """
    # Not resolved: weights and variants lie beside a link.
    path = path.expanduser().absolute()
    model = load_proto(path)
    spec = spec_of(model, path)
    inputs, outputs = _inputs_and_outputs(model)
    if MASK_OUTPUT in outputs:
        raise ModelError(
            f"{path} finds people and turns no picture into another",
            "presets that say person: or background: use it by themselves",
        )
    _check_names(path, inputs, outputs)
    frame = _check_picture(path, inputs[FRAME_INPUT])
    _check_picture(path, outputs[OUTPUT])
    style_input, style_length, rows = _check_style(path, inputs, model, spec)
    if STRENGTH_INPUT in inputs:
        _check_tensor(path, inputs[STRENGTH_INPUT], onnx.TensorProto.FLOAT, "float32 (1,)", (1,))
    _check_weights(path, model)
    has_strength = STRENGTH_INPUT in inputs
    return NativeModel(
        path, spec, frame, style_input, style_length, has_strength, opset_of(model), rows
    )


def load_mask_model(path: Path) -> NativeModel:
    """Read and check the file of a network that finds people.

    Raises:
        ModelError: it cannot be read, or is no such network.
    """
    path = path.expanduser().absolute()
    model = load_proto(path)
    spec = spec_of(model, path)
    inputs, outputs = _inputs_and_outputs(model)
    if list(inputs) != [FRAME_INPUT] or list(outputs) != [MASK_OUTPUT]:
        raise _broken(
            path,
            f"must have the one input “{FRAME_INPUT}” and the one output “{MASK_OUTPUT}”, not "
            f"{', '.join(inputs) or 'none'} and {', '.join(outputs) or 'none'}",
        )
    frame = _check_picture(path, inputs[FRAME_INPUT])
    wanted = "uint8 (1, height, width, 1)"
    _check_tensor(path, outputs[MASK_OUTPUT], onnx.TensorProto.UINT8, wanted, (1, None, None, 1))
    _check_weights(path, model)
    return NativeModel(path, spec, frame, "", 0, False, opset_of(model), output=MASK_OUTPUT)


def _inputs_and_outputs(
    model: onnx.ModelProto,
) -> tuple[dict[str, onnx.ValueInfoProto], dict[str, onnx.ValueInfoProto]]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return _by_name(model.graph.input, weights), _by_name(model.graph.output)


def _by_name(
    values: list[onnx.ValueInfoProto], without: set[str] | None = None
) -> dict[str, onnx.ValueInfoProto]:
    return {value.name: value for value in values if value.name not in (without or ())}


def _broken(path: Path, what: str) -> ModelError:
    return ModelError(f"{path}: {what}", "export or adopt it again")


def _check_names(
    path: Path,
    inputs: dict[str, onnx.ValueInfoProto],
    outputs: dict[str, onnx.ValueInfoProto],
) -> None:
    if FRAME_INPUT not in inputs:
        raise _broken(path, f"has no input “{FRAME_INPUT}”, only {', '.join(inputs) or 'none'}")
    if list(outputs) != [OUTPUT]:
        raise _broken(path, f"must have the one output “{OUTPUT}”, not {', '.join(outputs)}")
    unknown = inputs.keys() - {FRAME_INPUT, ROWS_INPUT, STYLE_INPUT, STRENGTH_INPUT}
    if unknown:
        raise _broken(path, f"asks for an input “{min(unknown)}” that nothing here can give")


def dimensions_of(value: onnx.ValueInfoProto) -> Dimensions | None:
    """Return the declared shape of an input or output; None if it declares not even a rank."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model uses."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _check_picture(path: Path, value: onnx.ValueInfoProto) -> Dimensions:
    """Return the shape, which must be uint8 (1, H, W, 3)."""
    return _check_tensor(
        path, value, onnx.TensorProto.UINT8, "uint8 (1, height, width, 3)", (1, None, None, 3)
    )


def _check_tensor(
    path: Path,
    value: onnx.ValueInfoProto,
    dtype: int,
    wanted: str,
    shape: tuple[int | None, ...],
) -> Dimensions:
    given = dimensions_of(value)
    if given is None:
        raise _broken(path, f"“{value.name}” declares no shape; it must be {wanted}")
    fits = len(given) == len(shape) and all(
        want is None or have == want or isinstance(have, str)
        for have, want in zip(given, shape, strict=True)
    )
    if value.type.tensor_type.elem_type != dtype or not fits:
        name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        have = ", ".join(str(dim) if dim != "" else "?" for dim in given)
        raise _broken(path, f"“{value.name}” must be {wanted}, not {name} ({have})")
    return given


def _check_style(
    path: Path, inputs: dict[str, onnx.ValueInfoProto], model: onnx.ModelProto, spec: ModelSpec
) -> tuple[str, int, StyleRows | None]:
    """Return the name and length of the input that tells the style, and the rows of the file."""
    if ROWS_INPUT in inputs:
        return ROWS_INPUT, *_check_rows(path, inputs[ROWS_INPUT], read_rows(model, path), spec)
    value = inputs.get(STYLE_INPUT)
    if value is None:
        if len(spec.styles) > 1:
            raise _broken(path, f"names {len(spec.styles)} styles but has no “{STYLE_INPUT}” input")
        return "", 0, None
    wanted = f"float32 (1, {len(spec.styles) or 'S'})"
    shape = _check_tensor(path, value, onnx.TensorProto.FLOAT, wanted, (1, None))
    count = shape[1]
    if not isinstance(count, int) or count != len(spec.styles):
        raise _broken(
            path, f"“{STYLE_INPUT}” takes {count} weights but {len(spec.styles)} styles are named"
        )
    return STYLE_INPUT, count, None


def _check_rows(
    path: Path, value: onnx.ValueInfoProto, rows: StyleRows | None, spec: ModelSpec
) -> tuple[int, StyleRows]:
    if rows is None or not spec.weights_hash:
        raise _broken(path, f"takes “{ROWS_INPUT}” but brings none of any style")
    if len(rows.values) != len(spec.styles):
        raise _broken(
            path, f"has rows of {len(rows.values)} styles but {len(spec.styles)} are named"
        )
    length = rows.values.shape[1]
    _check_tensor(path, value, onnx.TensorProto.FLOAT, f"float32 (1, {length})", (1, length))
    return length, rows


def _check_weights(path: Path, model: onnx.ModelProto) -> None:
    """Refuse weights that are no numbers: they come out as flat black without any error."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    for tensor in model.graph.initializer:
        if tensor.data_type not in floats or tensor.data_location == onnx.TensorProto.EXTERNAL:
            continue
        try:
            values = onnx.numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as cause:
            raise _broken(path, f"the weights “{tensor.name}” are damaged") from cause
        # A maximum carries NaN along and needs no array of flags. Infinities are legitimate
        # as constants (the limits of a Clip), so only NaN is refused.
        if values.size and np.isnan(values.max()):
            raise _broken(path, f"the weights “{tensor.name}” hold NaN")
