"""Adoption: a foreign ONNX model made native, once, into a new file.

The new file is checked against the foreign model run by hand before it gets its name.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx

from obs_stylizer.errors import ModelError, ProviderError
from obs_stylizer.frames import FrameSize, Pixels, size_of
from obs_stylizer.inference.adoption_plan import AdoptionPlan
from obs_stylizer.inference.convention import to_pixels
from obs_stylizer.inference.model_spec import ModelPrecision, ModelSpec
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.onnx_runtime import OnnxRuntimeSession
from obs_stylizer.inference.probing import probe_picture
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.inference.wrap import wrap

log = logging.getLogger(__name__)

_TOLERANCE: Final = 1
"""Levels of 255 by which the native model may differ from the foreign one run by hand."""

_HALF_TOLERANCE: Final = 3
"""The same for float16, which carries 11 bits, so that a byte's last is already uncertain."""


def adopt(
    plan: AdoptionPlan,
    output: Path,
    *,
    title: str = "",
    licence: str = "",
    author: str = "",
    replace: bool = False,
) -> ModelSpec:
    """Write the native model and check it against the foreign one run by hand.

    Args:
        plan: from :func:`plan_adoption`.
        output: the new file, ending in ``.onnx``; it appears only when it is whole and right.
        title: name for people; "" for the file's.
        licence: of the model; "" for unknown.
        author: who made the model.
        replace: overwrite a file that is there already.

    Raises:
        ModelError: it cannot be wrapped, or what comes out differs from the foreign model's.
    """
    output = output.expanduser()
    if output.suffix != ".onnx":
        raise ModelError(f"{output} is no name for a model", "let it end in .onnx")
    if output.resolve() == plan.model.path.resolve():
        raise ModelError(f"{output} is the foreign model itself", "choose another --output")
    if output.exists() and not replace:
        raise ModelError(f"{output} exists already", "choose another --output, or add --force")
    spec = ModelSpec(
        name=output.stem,
        title=title or output.stem.replace("-", " ").replace("_", " ").capitalize(),
        licence=licence or "unknown",
        author=author,
        size_multiple=plan.convention.multiple,
        least_side=plan.convention.least_side,
        precision=_precision(plan.model.proto),
        adopted_from=plan.model.path.name,
    )
    try:
        native = wrap(plan.model.proto, plan.convention, spec, same_size=plan.size.scale == 1)
    except ModelError as error:
        raise ModelError(f"{plan.model.path}: {error.message}", error.remedy) from error
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".onnx", prefix=".adopt-", dir=output.parent)
        os.close(handle)
    except OSError as cause:
        raise ModelError(f"{output}: cannot be written: {cause.strerror}") from cause
    temporary = Path(name)
    try:
        temporary.write_bytes(native.SerializeToString())
        try:
            _check(plan, temporary)
        except (ModelError, ProviderError) as error:
            # Nobody knows the name of the file that is only being made.
            message = error.message.replace(str(temporary), f"{plan.model.path}, made native")
            remedy = error.remedy or "export it again with opset 17, or at another size"
            raise ModelError(message, remedy) from error
        temporary.chmod(0o644)
        temporary.replace(output)
    except (OSError, ValueError) as cause:
        raise ModelError(f"{output}: cannot be written: {cause}") from cause
    finally:
        temporary.unlink(missing_ok=True)
    return spec


def _precision(model: onnx.ModelProto) -> ModelPrecision:
    """Return the format of most of the weights."""
    bytes_of: dict[ModelPrecision, int] = {"f32": 0, "f16": 0, "int8": 0}
    for tensor in model.graph.initializer:
        count = int(np.prod(tensor.dims, dtype=np.int64))
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
            bytes_of["int8"] += count
        elif tensor.data_type == onnx.TensorProto.FLOAT16:
            bytes_of["f16"] += count
        else:
            bytes_of["f32"] += count
    return max(bytes_of, key=lambda precision: bytes_of[precision])


def _check(plan: AdoptionPlan, path: Path) -> None:
    """Compare with the foreign model run by hand, at a size where nothing is scaled on the way in.

    Raises:
        ModelError: they differ, or the native model does not run at another size.
    """
    multiple = plan.convention.multiple
    size = plan.size.tried.rounded_to(multiple)
    other = FrameSize(size.width + 2 * multiple, size.height + 4 * multiple)
    picture = probe_picture(size)
    native = _run_native(path, picture)
    by_hand = _run_by_hand(plan, picture)
    difference = int(np.abs(native.astype(np.int16) - by_hand).max())
    half = "float16" in (plan.model.input.dtype, plan.model.output.dtype)
    if difference > (_HALF_TOLERANCE if half else _TOLERANCE):
        raise ModelError(
            f"{plan.model.path}: the native model differs from the foreign one by {difference} of "
            "255 levels",
            "this is a fault of ours, please report it with the model",
        )
    # That it runs there at all is what matters; a ModelError says that it does not.
    stylized = _run_native(path, probe_picture(other))
    if stylized.min() == stylized.max():
        raise ModelError(f"{plan.model.path}: gives one flat colour at {other}")


def _run_native(path: Path, picture: Pixels) -> Pixels:
    session = OnnxRuntimeSession(
        load_native_model(path), size_of(picture), SessionOptions(provider=Provider.CPU)
    )
    try:
        return session.run(picture).copy()
    finally:
        session.close()


def _run_by_hand(plan: AdoptionPlan, picture: Pixels) -> Pixels:
    """Do with numpy and OpenCV what the native graph does with operators."""
    values = plan.convention.decode(plan.model.run(plan.convention.encode(picture)))
    if values.shape[:2] != picture.shape[:2]:
        size = (picture.shape[1], picture.shape[0])
        values = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return to_pixels(values)
