"""An exported generator with weights and arithmetic in float16: half the file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import OUTPUT, spec_of, write_spec
from obs_stylizer.training.likeness import psnr_by_style


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
    session = onnxruntime.InferenceSession(str(variant), providers=["CPUExecutionProvider"])
    return psnr_by_style(model, lambda feeds: session.run([OUTPUT], feeds)[0], pictures)
