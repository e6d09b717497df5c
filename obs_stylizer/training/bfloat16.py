"""What computing in bfloat16 would leave of an exported generator's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnx
import onnxruntime

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import OUTPUT
from obs_stylizer.training.likeness import psnr_by_style

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
