"""Bringing a foreign graph into a form that can be run and worked with.

Nothing here changes what the model makes of a picture, but for chance, which is taken out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from obs_stylizer.inference.graph_scopes import free_name, graphs_of, names_in, rename_values
from obs_stylizer.inference.steady_graph import make_steady

IR_VERSION: Final = 10
"""Version of the file format that models are written in; what came later is only wrapping."""

_OLDEST_IR_VERSION: Final = 4
"""From here on weights need not stand among the inputs."""


def tidy(model: onnx.ModelProto) -> list[str]:
    """Bring a model into a plain form, changed in place; return what people should know of it."""
    changes = []
    if model.ir_version > onnx.IR_VERSION:
        changes.append(
            f"its file format is of IR version {model.ir_version}, newer than the "
            f"{onnx.IR_VERSION} known here, and is read as {IR_VERSION}"
        )
    model.ir_version = min(max(model.ir_version, _OLDEST_IR_VERSION), IR_VERSION)
    for scope in (model, *model.functions):
        for opset in scope.opset_import:
            if opset.domain == "ai.onnx":
                opset.domain = ""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    kept = onnx.GraphProto(input=inputs)
    del model.graph.input[:]
    model.graph.input.extend(kept.input)
    for graph in graphs_of(model.graph):
        # Shapes that an exporter noted down may be those of another size, and names of free
        # sides in inner graphs may be ours for something else.
        del graph.value_info[:]
        if graph is not model.graph:
            for value in (*graph.input, *graph.output):
                for dim in value.type.tensor_type.shape.dim:
                    dim.ClearField("dim_param")
    changes += make_steady(model)
    return changes


def declared_batch(value: onnx.ValueInfoProto) -> int:
    """Return how many pictures a tensor is declared to hold; 1 where that is free."""
    dims = value.type.tensor_type.shape.dim
    return dims[0].dim_value if len(dims) == 4 and dims[0].dim_value > 1 else 1


def declare_one_picture(model: onnx.ModelProto, batch: int) -> None:
    """Declare inputs and outputs of ``batch`` pictures as those of one, changed in place."""
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == batch:
            dims[0].dim_value = 1


def repeat_picture(model: onnx.ModelProto, picture: str, batch: int) -> None:
    """Have a model that takes ``batch`` pictures take one, changed in place.

    The picture is repeated as often on the way in, and only the first comes out.
    """
    graph = model.graph
    taken = names_in(graph)
    outputs = [value.name for value in graph.output]
    inner = {name: free_name(f"{name}/batch", taken) for name in (picture, *outputs)}
    rename_values(graph, inner)
    outer = {new: old for old, new in inner.items()}
    for value in (*graph.input, *graph.output):
        value.name = outer.get(value.name, value.name)
    first = free_name("first", taken)
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), first))
    rest = onnx.GraphProto(node=graph.node)
    del graph.node[:]
    graph.node.append(helper.make_node("Concat", [picture] * batch, [inner[picture]], axis=0))
    graph.node.extend(rest.node)
    graph.node.extend(
        helper.make_node("Gather", [inner[name], first], [name], axis=0) for name in outputs
    )
    declare_one_picture(model, batch)
