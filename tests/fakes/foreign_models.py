"""Foreign ONNX models: one picture function under every convention that is met in the wild.

The function cuts its input off at black and white, as a network that saw nothing else does, mixes
every colour with the brightness, half colour and half grey, and lifts the shadows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.convention import ChannelOrder, Layout, ValueRange, affine_of
from tests.fakes.models import Graph

LUMA = np.array([0.299, 0.587, 0.114])
MIX = 0.5 * np.eye(3) + 0.5 * np.tile(LUMA, (3, 1))
"""What the function does to a colour of 0 to 1, as a matrix."""

_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
}


@dataclass(frozen=True)
class Foreign:
    """A convention to write the function in.

    ``hidden`` folds the scaling into convolutions, as it is after training; otherwise it stands
    in the graph as arithmetic. ``size`` is (height, width), fixed; None leaves both free.
    ``output_layout`` is that of what comes out, where it is another one.
    """

    layout: Layout = Layout.NCHW
    input_range: ValueRange = ValueRange.UNIT
    output_range: ValueRange = ValueRange.UNIT
    channels: ChannelOrder = ChannelOrder.RGB
    dtype: str = "float32"
    hidden: bool = True
    tanh: bool = False
    multiple: int = 1
    size: tuple[int, int] | None = None
    batch: int | str = 1
    scale: int = 1
    opset: int = 17
    second_output: bool = False
    output_layout: Layout | None = None
    not_a_number: bool = False

    def but(self, **changes: object) -> Foreign:
        """Return a copy with some things changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def expected(frame: Pixels) -> Pixels:
    """What the function makes of a frame."""
    mixed = frame.astype(np.float64) / 255 @ MIX.T
    return np.clip(255 * (2 * mixed - mixed**2) + 0.5, 0, 255).astype(np.uint8)


def write_foreign_model(path: Path, kind: Foreign) -> Path:
    """Write the function in one convention."""
    graph = Graph()
    dtype = _TYPES[kind.dtype]
    name = "input"
    if kind.dtype != "float32":
        name = graph.add("Cast", name, to=TensorProto.FLOAT)
    if not kind.layout.batched:
        name = graph.add("Unsqueeze", name, graph.constant([0], np.int64))
    if not kind.layout.channels_first:
        name = graph.add("Transpose", name, perm=[0, 3, 1, 2])
    scale, offset = affine_of(kind.input_range)
    turn = np.eye(3)[::-1] if kind.channels is ChannelOrder.BGR else np.eye(3)
    # From numbers in the model's order to colours of 0 to 1 in RGB.
    name = _step(graph, name, turn @ (1 / (255 * scale)), -turn @ (offset / (255 * scale)), kind)
    if kind.channels is ChannelOrder.BGR:
        name = _convolve(graph, name, turn, np.zeros(3))
    if kind.multiple > 1:
        name = graph.add("SpaceToDepth", name, blocksize=kind.multiple)
        name = graph.add("DepthToSpace", name, blocksize=kind.multiple)
    name = _clip(graph, name, kind.opset)
    name = _convolve(graph, name, MIX, np.zeros(3))
    twice = graph.add("Add", name, name)
    name = graph.add("Sub", twice, graph.add("Mul", name, name))
    if kind.not_a_number:
        nothing = graph.add("Sub", name, name)
        name = graph.add("Div", nothing, nothing)
    if kind.tanh:
        # Beyond 1.0 for no colour: the picture is the identity within a level.
        name = _convolve(graph, name, 2 * np.eye(3), -np.ones(3))
        name = _inverse_tanh(graph, name)
        name = graph.add("Tanh", name)
        name = _convolve(graph, name, turn, np.zeros(3)) if _bgr(kind) else name
    else:
        if _bgr(kind):
            name = _convolve(graph, name, turn, np.zeros(3))
        scale, offset = affine_of(kind.output_range)
        name = _step(graph, name, turn @ (255 * scale), turn @ offset, kind)
    if kind.scale > 1:
        factors = graph.constant([1, 1, kind.scale, kind.scale])
        name = graph.add("Resize", name, "", factors, mode="nearest")
    made = kind.output_layout or kind.layout
    if not made.channels_first:
        name = graph.add("Transpose", name, perm=[0, 2, 3, 1])
    if not made.batched:
        name = graph.add("Squeeze", name, graph.constant([0], np.int64))
    graph.add("Cast", name, output="output", to=dtype)
    outputs = [_info("output", dtype, kind, kind.scale)]
    if kind.second_output:
        graph.add("ReduceMean", "output", output="score", keepdims=0)
        outputs.append(helper.make_tensor_value_info("score", dtype, []))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "foreign", [_info("input", dtype, kind)], outputs, graph.constants
        ),
        opset_imports=[helper.make_opsetid("", kind.opset)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def _bgr(kind: Foreign) -> bool:
    return kind.channels is ChannelOrder.BGR


def _info(name: str, dtype: int, kind: Foreign, scale: int = 1) -> onnx.ValueInfoProto:
    sides: list[int | str] = ["h", "w"] if name == "input" else ["h_out", "w_out"]
    if kind.size is not None:
        sides = [side * scale for side in kind.size]
    layout = kind.layout if name == "input" else kind.output_layout or kind.layout
    axes = {"n": kind.batch, "c": 3, "h": sides[0], "w": sides[1]}
    shape = [axes[axis] for axis in layout.value]
    return helper.make_tensor_value_info(name, dtype, shape)


def _step(
    graph: Graph,
    name: str,
    scale: NDArray[np.float64],
    offset: NDArray[np.float64],
    kind: Foreign,
) -> str:
    """Scale and shift each channel, hidden in a convolution or not."""
    if kind.hidden:
        return _convolve(graph, name, np.diag(scale), offset)
    name = graph.add("Mul", name, graph.constant(scale.reshape(3, 1, 1)))
    return graph.add("Add", name, graph.constant(offset.reshape(3, 1, 1)))


def _convolve(
    graph: Graph, name: str, matrix: NDArray[np.float64], offset: NDArray[np.float64]
) -> str:
    weights = graph.constant(np.asarray(matrix).reshape(3, 3, 1, 1))
    return graph.add("Conv", name, weights, graph.constant(offset), kernel_shape=[1, 1])


def _clip(graph: Graph, name: str, opset: int) -> str:
    if opset < 11:
        return graph.add("Clip", name, min=0.0, max=1.0)
    return graph.add("Clip", name, graph.constant(0.0), graph.constant(1.0))


def _inverse_tanh(graph: Graph, name: str) -> str:
    """Half the logarithm of (1 + x) / (1 - x), a hair inside its limits."""
    name = graph.add("Mul", name, graph.constant(0.9999))
    above = graph.add("Add", name, graph.constant(1.0))
    below = graph.add("Sub", graph.constant(1.0), name)
    name = graph.add("Log", graph.add("Div", above, below))
    return graph.add("Mul", name, graph.constant(0.5))
