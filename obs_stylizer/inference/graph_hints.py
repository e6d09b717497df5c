"""What a foreign graph itself says about ranges and channel order.

Scaling that stands at the very beginning tells what comes in: a division by 127.5 and a
subtraction of 1 take bytes. A bounded function at the very end tells what goes out: a Tanh gives
-1 to 1. Constants that are known means of a channel order tell that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx

from obs_stylizer.inference.convention import ChannelOrder, ValueRange, Values, affine_of

_ELEMENTWISE: Final = ("Add", "Sub", "Mul", "Div")
_TRANSPARENT: Final = ("Cast", "Identity", "Transpose", "Pad", "Reshape", "Squeeze", "Unsqueeze")
_BOUNDED: Final = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class Hint:
    """Something the graph gives away, and where, in words."""

    value_range: ValueRange
    why: str
    channels: ChannelOrder | None = None


class _Reader:
    """The graph's nodes by what they make and what takes it, and its constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants: dict[str, Values] = {}
        for tensor in graph.initializer:
            self._keep(tensor.name, tensor)
        self.maker: dict[str, onnx.NodeProto] = {}
        self.takers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._keep(node.output[0], node.attribute[0].t)
            for name in node.output:
                self.maker[name] = node
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def _keep(self, name: str, tensor: onnx.TensorProto) -> None:
        """Keep scalars and triples; larger ones are weights."""
        if int(np.prod(tensor.dims, dtype=np.int64)) not in (1, 3):
            return
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind in "fiu":
            self.constants[name] = np.broadcast_to(values.astype(np.float64).ravel(), 3)

    def affine(self, node: onnx.NodeProto, name: str) -> tuple[Values, Values] | None:
        """Return (scale, offset) that an elementwise node applies to its input ``name``."""
        first, second = node.input
        other = second if first == name else first
        constant = self.constants.get(other)
        if constant is None:
            return None
        ones, zeros = np.ones(3), np.zeros(3)
        if node.op_type == "Add":
            return ones, constant
        if node.op_type == "Mul":
            return constant, zeros
        if node.op_type == "Sub":
            return (ones, -constant) if first == name else (-ones, constant)
        return (1 / constant, zeros) if first == name and constant.all() else None

    def bounds(self, node: onnx.NodeProto) -> tuple[float, float] | None:
        """Return the limits of what a node can give, if it has both."""
        if node.op_type in _BOUNDED:
            return _BOUNDED[node.op_type]
        if node.op_type != "Clip":
            return None
        attributes = {a.name: a.f for a in node.attribute}
        limits = []
        for index, name in ((1, "min"), (2, "max")):
            if name in attributes:
                limits.append(float(attributes[name]))
            elif len(node.input) > index and node.input[index] in self.constants:
                limits.append(float(self.constants[node.input[index]][0]))
        return (limits[0], limits[1]) if len(limits) == 2 else None


def input_hint(graph: onnx.GraphProto, name: str) -> Hint | None:
    """Return what the scaling right behind the input ``name`` tells; None if there is none."""
    reader = _Reader(graph)
    scale, offset = np.ones(3), np.zeros(3)
    steps = []
    while len(takers := reader.takers.get(name, [])) == 1:
        node = takers[0]
        if node.op_type in _ELEMENTWISE:
            change = reader.affine(node, name)
            if change is None:
                break
            scale, offset = scale * change[0], offset * change[0] + change[1]
            steps.append(node.op_type)
        elif node.op_type not in _TRANSPARENT:
            break
        name = node.output[0]
    if not steps:
        return None
    for taken in (ValueRange.BYTE, ValueRange.UNIT, ValueRange.SIGNED):
        own_scale, own_offset = affine_of(taken)
        made = (own_scale * scale, own_offset * scale + offset)
        for target in ValueRange:
            for order in ChannelOrder:
                if target is not taken and _same(made, _ordered(target, order)):
                    distinct = target in (ValueRange.CAFFE, ValueRange.IMAGENET)
                    return Hint(
                        taken,
                        f"the graph itself turns {taken} into {target} ({', '.join(steps)})",
                        order if distinct else None,
                    )
    return None


def output_hint(graph: onnx.GraphProto, name: str) -> Hint | None:
    """Return what the last bounded function before the output ``name`` tells, if there is one."""
    reader = _Reader(graph)
    scale, offset = np.ones(3), np.zeros(3)
    while (node := reader.maker.get(name)) is not None:
        limits = reader.bounds(node)
        if limits is not None:
            low, high = (float((scale * limit + offset).mean()) for limit in limits)
            matching = _range_of(min(low, high), max(low, high))
            if matching is None:
                return None
            return Hint(matching, f"the graph ends in {node.op_type}: {low:g} to {high:g}")
        if node.op_type in _ELEMENTWISE:
            variable = next((i for i in node.input if i not in reader.constants), "")
            change = reader.affine(node, variable) if variable else None
            if change is None:
                return None
            offset = offset + scale * change[1]
            scale = scale * change[0]
            name = variable
        elif node.op_type in _TRANSPARENT:
            name = node.input[0]
        else:
            return None
    return None


def _ordered(target: ValueRange, order: ChannelOrder) -> tuple[Values, Values]:
    scale, offset = affine_of(target)
    return (scale, offset) if order is ChannelOrder.RGB else (scale[::-1], offset[::-1])


def _same(made: tuple[Values, Values], wanted: tuple[Values, Values]) -> bool:
    """Whether both map black and white to the same values, within a hundredth of the span."""
    span = wanted[0] * 255
    black = np.abs(made[1] - wanted[1]) / span
    white = np.abs(made[0] * 255 + made[1] - wanted[0] * 255 - wanted[1]) / span
    return bool(black.max() < 0.01 and white.max() < 0.01)


def _range_of(low: float, high: float) -> ValueRange | None:
    """Return the range with about these limits; some generators overshoot a little."""
    for value_range in (ValueRange.UNIT, ValueRange.SIGNED, ValueRange.BYTE):
        scale, offset = affine_of(value_range)
        own_low, own_high = offset[0], scale[0] * 255 + offset[0]
        span = own_high - own_low
        if abs(low - own_low) < 0.12 * span and abs(high - own_high) < 0.12 * span:
            return value_range
    return None
