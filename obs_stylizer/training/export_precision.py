"""Exported generators in float16 and bfloat16, and what each leaves of the pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    OUTPUT,
    ModelSpec,
    spec_of,
    write_spec,
)
from obs_stylizer.inference.style_rows import copy_rows, style_feed
from obs_stylizer.training.pictures import fit_frame

Feeds = dict[str, Any]
_SIZE: Final = FrameSize(640, 360)


def psnr_by_style(
    model: Path, variant: Callable[[Feeds], Any], pictures: Sequence[Pixels]
) -> dict[str, float]:
    """Return the PSNR in decibels of a variant's pictures against those of ``model``.

    Args:
        model: a float native generator, which runs in ONNX Runtime.
        variant: gives the picture, uint8 (1, H, W, 3), for a generator's inputs by name.
        pictures: uint8 (H, W, 3).

    Returns:
        By style, or under the generator's name where it has none.
    """
    loaded = onnx.load(model)
    spec = spec_of(loaded, model)
    reference = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    errors: dict[str, list[float]] = {}
    for picture in pictures:
        for name, feeds in feeds_of(picture, spec, loaded):
            wanted = reference.run([OUTPUT], feeds)[0].astype(np.float32)
            made = variant(feeds).astype(np.float32)
            errors.setdefault(name, []).append(float(np.square(made - wanted).mean()))
    return {
        name: float(10 * np.log10(255**2 / max(float(np.mean(values)), 1e-9)))
        for name, values in errors.items()
    }


def feeds_of(
    picture: Pixels, spec: ModelSpec, model: onnx.ModelProto
) -> Iterator[tuple[str, Feeds]]:
    """Give a name and the inputs for ``picture``, uint8 (H, W, 3), once in each style."""
    frame = fit_frame(picture, _SIZE)[None]
    if not spec.styles:
        yield spec.name, {FRAME_INPUT: frame}
    for name, mix in zip(spec.styles, np.eye(len(spec.styles), dtype=np.float32), strict=True):
        yield name, {FRAME_INPUT: frame, **style_feed(model, Path(spec.name), mix)}


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
    copy_rows(loaded, made)
    onnx.checker.check_model(made)
    onnx.save(made, output)


def compare_halved(model: Path, variant: Path, pictures: Sequence[Pixels]) -> dict[str, float]:
    """Return the PSNR in decibels between the two files' pictures in ONNX Runtime, by style."""
    session = onnxruntime.InferenceSession(str(variant), providers=["CPUExecutionProvider"])
    return psnr_by_style(model, lambda feeds: session.run([OUTPUT], feeds)[0], pictures)


_CONVOLUTIONS: Final = ("Conv", "ConvTranspose")
_LAYERS: Final = (*_CONVOLUTIONS, "InstanceNormalization", "Relu", "Add", "Sigmoid")


def compare_bfloat16(model: Path, pictures: Sequence[Pixels]) -> dict[str, float]:
    """Return the PSNR in decibels, by style, that computing in bfloat16 would leave.

    A processor that has it is not needed: every convolution's weights and what every layer gives
    on are rounded to bfloat16, as OpenVINO keeps them there, and sums are kept in float32.
    """
    options = onnxruntime.SessionOptions()
    # Rounding there and back looks like nothing at all to an optimizer.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        rounded_to_bfloat16(onnx.load(model)).SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
    )
    return psnr_by_style(model, lambda feeds: session.run([OUTPUT], feeds)[0], pictures)


def rounded_to_bfloat16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with its layers' weights and outputs rounded to bfloat16.

    The last scaling, which a runtime does on the way to bytes, stays exact.
    """
    made = onnx.shape_inference.infer_shapes(model)
    floats = {
        value.name
        for value in made.graph.value_info
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    cast = {node.input[0] for node in made.graph.node if node.op_type == "Cast"}
    nodes: list[onnx.NodeProto] = []
    for node in made.graph.node:
        output = node.output[0]
        if node.op_type not in _LAYERS or output not in floats or output in cast:
            nodes.append(node)
            continue
        if node.op_type in _CONVOLUTIONS:
            weights = node.input[1]
            nodes.extend(_rounding(weights, f"{weights}.rounded"))
            node.input[1] = f"{weights}.rounded"
        node.output[0] = f"{output}.exact"
        nodes.extend([node, *_rounding(node.output[0], output)])
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    onnx.checker.check_model(made)
    return made


def _rounding(source: str, target: str) -> list[onnx.NodeProto]:
    make = onnx.helper.make_node
    short = f"{target}.bfloat16"
    return [
        make("Cast", [source], [short], name=f"{short}.cast", to=onnx.TensorProto.BFLOAT16),
        make("Cast", [short], [target], name=f"{target}.cast", to=onnx.TensorProto.FLOAT),
    ]
