"""Putting a generator that was learnt from painted frames where the program finds it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import onnx

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import ModelSpec, write_spec
from obs_stylizer.training.export import PARITY_SIZES, check_parity, to_onnx
from obs_stylizer.training.exported_weights import keep_weights
from obs_stylizer.training.native import NativeGenerator


def export_keyframes(
    native: NativeGenerator,
    path: Path,
    pictures: Sequence[Pixels],
    quality: dict[str, float] | None = None,
) -> None:
    """Write a generator, checked, in the place of what ``path`` holds now.

    Whoever reads the file meanwhile reads the old one or the new one, whole.

    Args:
        native: the generator; :meth:`KeyframeLearner.native`.
        path: ends in ``.onnx``; its name is the generator's.
        pictures: that were painted, uint8 (H, W, 3), to compare ONNX Runtime with torch on.
        quality: measured figures to put into the file.

    Raises:
        TrainingError: ONNX Runtime and torch disagree, or the file cannot be written.
    """
    model = to_onnx(native)
    keep_weights(model, native)
    spec = ModelSpec(
        name=path.stem,
        title=path.stem.replace("-", " ").capitalize(),
        size_multiple=native.size_multiple,
        training_data="painted frames",
        quality=quality or {},
    )
    write_spec(model, spec)
    onnx.checker.check_model(model)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(model.SerializeToString())
            check_parity(native, part, pictures, PARITY_SIZES[0])
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as cause:
        raise TrainingError(
            f"{path} cannot be written: {cause.strerror or cause}", "make room on the disk"
        ) from cause
