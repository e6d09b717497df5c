"""Graph surgery: putting a foreign graph inside the native contract, as one new ONNX file."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.convention import (
    WHOLE_NUMBERS,
    ChannelOrder,
    Convention,
    Values,
    affine_of,
)
from obs_stylizer.inference.device_loss import first_line
from obs_stylizer.inference.foreign_graph import IR_VERSION
from obs_stylizer.inference.graph_scopes import (
    free_name,
    graphs_of,
    inner_graphs,
    names_in,
    names_read,
    rename_values,
)
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, ModelSpec, write_spec
from obs_stylizer.inference.native_model import opset_of

_OURS: Final = "native/"
"""How the names of values around the foreign graph begin."""

_OLDEST_IR_VERSION: Final = 8

_OLDEST_OPSET: Final = 13
"""From here on every operator used around the foreign graph has the form written here."""

_OLDEST_WITH_INNER_GRAPHS: Final = 11
"""Graphs with others inside stay at their version if they can: the converter leaves those out."""

_OPSET: Final = 17
"""What older graphs are converted to: the newest that DirectML's release of the runtime knows."""

_ONLY_WIDENED: Final = (
    *("Abs", "Add", "Cast", "Concat", "Conv", "Div", "Equal", "Exp", "Flatten", "Gather"),
    *("Greater", "Identity", "LeakyRelu", "Less", "MatMul", "Mul", "Neg", "Relu", "Reshape"),
    *("Shape", "Sigmoid", "Sqrt", "Sub", "Tanh", "Transpose"),
)
"""Operators that newer versions know more number formats of, while the old form still holds."""

_TO_NCHW: Final = (0, 3, 1, 2)
_TO_NHWC: Final = (0, 2, 3, 1)

_TYPES: Final = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
}


def wrap(
    foreign: onnx.ModelProto, convention: Convention, spec: ModelSpec, *, same_size: bool
) -> onnx.ModelProto:
    """Return a native model that does to a frame what ``foreign`` does to it.

    Args:
        foreign: the foreign graph, with its weights inside.
        convention: how it wants its pictures.
        spec: what the new model says about itself.
        same_size: what comes out is as large as what goes in; otherwise it is scaled back.

    Raises:
        ModelError: the graph is too old to be converted.
    """
    model = _modern(foreign)
    graph = model.graph
    # Inner graphs may read any value of the outer one, so foreign names stay as they are but
    # where they are ours.
    names = names_in(graph)
    ours = {name for name in names if name in (FRAME_INPUT, OUTPUT) or name.startswith(_OURS)}
    renamed = {name: free_name(f"foreign/{name}", names) for name in sorted(ours)}
    rename_values(graph, renamed)
    given = renamed.get(convention.input.name, convention.input.name)
    made = renamed.get(convention.output.name, convention.output.name)
    builder = _Builder(opset_of(model))
    resized = convention.fixed_size is not None or not same_size
    shape = builder.add("Shape", FRAME_INPUT) if resized else ""
    builder.add("Identity", builder.before(convention), output=given)
    head = list(builder.nodes)
    builder.nodes.clear()
    builder.after(convention, made, shape)
    nodes = _alive([*head, *graph.node, *builder.nodes], OUTPUT)
    used = names_read(nodes)
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    sides = ["height", "width"]
    result = helper.make_model(
        helper.make_graph(
            nodes,
            spec.name,
            [helper.make_tensor_value_info(FRAME_INPUT, TensorProto.UINT8, [1, *sides, 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, [1, *sides, 3])],
            [*weights, *builder.constants],
            sparse_initializer=list(graph.sparse_initializer),
        ),
        opset_imports=list(model.opset_import),
        functions=list(model.functions),
        ir_version=min(max(model.ir_version, _OLDEST_IR_VERSION), IR_VERSION),
        producer_name="obs-stylizer",
    )
    write_spec(result, spec)
    return result


class _Builder:
    """Nodes around the foreign graph, one after another, and their constants."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []
        self._count = 0

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        self._count += 1
        name = output or f"{_OURS}{kind.lower()}_{self._count}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [name], name=f"{name}_node", **attributes)
        )
        return name

    def constant(self, values: object, dtype: type = np.float32) -> str:
        name = f"{_OURS}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def before(self, convention: Convention) -> str:
        """From ``frame`` to what the foreign graph takes; return its name."""
        taken = convention.input
        scale, offset = affine_of(taken.value_range)
        name = FRAME_INPUT
        plain = bool((scale == 1).all() and (offset == 0).all())
        whole = taken.dtype in WHOLE_NUMBERS
        if not whole or convention.fixed_size is not None:
            name = self.add("Cast", name, to=TensorProto.FLOAT)
        if convention.fixed_size is not None:
            size = self._size_of(convention.fixed_size)
            name = self._resize(name, size)
        if not plain:
            name = self._affine(name, scale, offset)
        name = self._swap(name, convention.channels)
        if whole and convention.fixed_size is not None:
            name = self._to_bytes(name)
        if taken.dtype not in ("float32", "uint8"):
            name = self.add("Cast", name, to=_TYPES[taken.dtype])
        if taken.layout.channels_first:
            name = self.add("Transpose", name, perm=_TO_NCHW)
        if not taken.layout.batched:
            name = self._first_axis("Squeeze", name)
        return name

    def after(self, convention: Convention, name: str, shape: str) -> None:
        """From what the foreign graph gives to ``stylized``."""
        given = convention.output
        if not given.layout.batched:
            name = self._first_axis("Unsqueeze", name)
        if given.layout.channels_first:
            name = self.add("Transpose", name, perm=_TO_NHWC)
        name = self._swap(name, convention.channels)
        if given.dtype != "float32":
            name = self.add("Cast", name, to=TensorProto.FLOAT)
        scale, offset = affine_of(given.value_range)
        if not bool((scale == 1).all() and (offset == 0).all()):
            name = self._affine(name, 1 / scale, -offset / scale)
        if shape:
            name = self._resize(name, shape)
        self._to_bytes(name, OUTPUT)

    def _affine(self, name: str, scale: Values, offset: Values) -> str:
        name = self.add("Mul", name, self.constant(scale))
        return self.add("Add", name, self.constant(offset)) if offset.any() else name

    def _swap(self, name: str, channels: ChannelOrder) -> str:
        """Turn RGB around, or back."""
        if channels is ChannelOrder.RGB:
            return name
        return self.add("Gather", name, self.constant([2, 1, 0], np.int64), axis=3)

    def _first_axis(self, kind: str, name: str) -> str:
        """Take the first axis away, or add one in front."""
        if self._opset < 13:
            return self.add(kind, name, axes=[0])
        return self.add(kind, name, self.constant([0], np.int64))

    def _size_of(self, size: FrameSize) -> str:
        return self.constant([1, *size.shape], np.int64)

    def _resize(self, name: str, size: str) -> str:
        """Scale (1, H, W, 3) to ``size``. Only height and width are named to the operator.

        Providers scale the last two dimensions well and others badly or not at all.
        """
        name = self.add("Transpose", name, perm=_TO_NCHW)
        order = self.constant([0, 3, 1, 2], np.int64)
        # Before version 13 neither may be left out, though both may be empty.
        none = "" if self._opset >= 13 else self.constant([])
        name = self.add(
            "Resize",
            name,
            none,
            none,
            self.add("Gather", size, order, axis=0),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
        return self.add("Transpose", name, perm=_TO_NHWC)

    def _to_bytes(self, name: str, output: str = "") -> str:
        """Round half up and clip; the cast itself cuts off what is behind the point."""
        name = self.add("Add", name, self.constant(0.5))
        name = self.add("Clip", name, self.constant(0.0), self.constant(255.0))
        return self.add("Cast", name, output=output, to=TensorProto.UINT8)


def _modern(foreign: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with operators new enough to stand beside ours."""
    opset = opset_of(foreign)
    inner = [node for node in foreign.graph.node if any(True for _ in inner_graphs(node))]
    if opset >= (_OLDEST_WITH_INNER_GRAPHS if inner else _OLDEST_OPSET):
        copy = onnx.ModelProto()
        copy.CopyFrom(foreign)
        return copy
    for node in inner:
        _check_inner_graphs(node, opset)
    try:
        return onnx.version_converter.convert_version(foreign, _OPSET)
    except Exception as cause:
        # The converter raises bare RuntimeErrors for each operator it does not know.
        raise ModelError(
            f"its operators are of version {opset} and cannot be brought to {_OPSET}: "
            f"{first_line(cause)}",
            "export it again with opset 17",
        ) from cause


def _check_inner_graphs(outer: onnx.NodeProto, opset: int) -> None:
    """Refuse a node whose inner graphs hold operators that have changed since.

    Raises:
        ModelError: there is one; both are named.
    """
    for graph in (scope for given in inner_graphs(outer) for scope in graphs_of(given)):
        for node in graph.node:
            try:
                then, now = (
                    onnx.defs.get_schema(node.op_type, version, node.domain).since_version
                    for version in (opset, _OPSET)
                )
            except onnx.defs.SchemaError:
                then, now = 0, 1
            # Their first input has become of more types, and nothing else.
            if then != now and node.op_type not in _ONLY_WIDENED:
                raise ModelError(
                    f"its operator {outer.op_type} has {node.op_type} of version {opset} inside, "
                    f"which cannot be brought to {_OPSET}",
                    "export it again with opset 17",
                )


def _alive(nodes: list[onnx.NodeProto], output: str) -> list[onnx.NodeProto]:
    """Return the nodes that ``output`` needs, in order; what other outputs needed goes."""
    needed = {output}
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed |= names_read([node])
            kept.append(node)
    return kept[::-1]
