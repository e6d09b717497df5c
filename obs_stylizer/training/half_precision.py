"""An exported generator with weights and arithmetic in float16: half the file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import OUTPUT, spec_of, write_spec
from obs_stylizer.training.quantization import feeds_of


def halve(model: Path, output: Path) -> None:
    """Write a float16 variant of the native generator ``model``.

    Inputs and outputs stay as they are. Meant for GPUs; where a provider has no float16 kernel
    it computes in float32.

    Args:
        model: a float native generator.
        output: where to write.
    """
    loaded = onnx.load(model)
    spec = spec_of(loaded, model)
    with warnings.catch_warnings():
        # Weights smaller than float16 can hold are brought to its smallest number.
        warnings.simplefilter("ignore", UserWarning)
        made = float16.convert_float_to_float16(loaded, keep_io_types=True)
    # The casts at the inputs are put at the end, where no runtime may find them.
    OnnxModel(made).topological_sort()
    write_spec(made, spec.model_copy(update={"precision": "f16"}))
    onnx.checker.check_model(made)
    onnx.save(made, output)


def compare_halved(model: Path, variant: Path, pictures: Sequence[Pixels]) -> dict[str, float]:
    """Return the PSNR in decibels between the two files' pictures in ONNX Runtime, by style."""
    spec = spec_of(onnx.load(model), model)
    sessions = [
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for path in (model, variant)
    ]
    errors: dict[str, list[float]] = {}
    for picture in pictures:
        for name, feeds in feeds_of(picture, spec):
            wanted, made = (
                session.run([OUTPUT], feeds)[0].astype(np.float32) for session in sessions
            )
            errors.setdefault(name, []).append(float(np.square(made - wanted).mean()))
    return {
        name: float(10 * np.log10(255**2 / max(float(np.mean(values)), 1e-9)))
        for name, values in errors.items()
    }
