"""Chance in a foreign graph: dropout that was left on, and noise.

Live, a model that gives another picture of the same frame each time flickers. Dropout is switched
off and noise is held at its mean, which is what such models are trained to work with on average;
where chance decides between two things instead, nothing is changed and the model is refused later.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from obs_stylizer.inference.graph_scopes import graphs_of, names_read, nodes_of

_OF_ONNX: Final = ("", "ai.onnx")
_NOISE: Final = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
CHANCE: Final = (*_NOISE, "Bernoulli", "Multinomial", "Dropout")
"""Operators whose result may be another one at each run."""

_DECIDING: Final = (
    *("ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual"),
    *("Less", "LessOrEqual", "Round", "Sign", "TopK"),
)
"""Operators that make a decision of a number: the mean of noise is no mean of these."""

_CARRYING: Final = (
    *("Add", "Cast", "Clip", "Div", "Identity", "Mul", "Neg"),
    *("Reshape", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
)
"""Operators that leave noise what it is."""


def make_steady(model: onnx.ModelProto) -> list[str]:
    """Take chance out of ``model``, changed in place.

    Returns:
        What was changed, a sentence each, with the operator's name.
    """
    changes = []
    for name, switch_off in (("Dropout", _stop_dropout), ("BatchNormalization", _stop_learning)):
        found = [node for node in nodes_of(model) if node.op_type == name]
        count = sum(switch_off(model, node) for node in found if node.domain in _OF_ONNX)
        if count:
            times = f" ({count} times)" if count > 1 else ""
            changes.append(
                f"{name} was left in training mode{times} and is switched off, or the picture "
                "would flicker"
            )
    # Inner graphs first: putting new nodes into an outer one copies what it holds.
    for graph in reversed(list(graphs_of(model.graph))):
        changes += [
            f"the noise of {name} is held at its mean, or the picture would flicker"
            for name in _hold_all(graph, _version(model))
        ]
    return list(dict.fromkeys(changes))


def operators_of_chance(model: onnx.ModelProto) -> list[str]:
    """Return the names of the operators in ``model`` that can make it differ between runs."""
    names = set()
    for node in nodes_of(model):
        learning = any(a.name == "training_mode" and a.i for a in node.attribute)
        if node.op_type in CHANCE or learning or node.domain not in _OF_ONNX:
            names.add(node.op_type)
    return sorted(names - {"Dropout"})


def _stop_learning(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Let a BatchNormalization use what it has learnt; return whether it used each frame's own.

    Left as it is where something reads the statistics that it made.
    """
    version = _version(model)
    settings = {a.name: a.i for a in node.attribute}
    if version < 7:
        was_on = not settings.get("is_test", 0)
    elif version < 14:
        was_on = len(node.output) > 1
    else:
        was_on = bool(settings.get("training_mode", 0))
    made = {name for name in node.output[1:] if name}
    read = names_read(nodes_of(model)) | {
        value.name for graph in list(graphs_of(model.graph))[1:] for value in graph.output
    }
    if not was_on or made & read:
        return False
    kept = [a for a in node.attribute if a.name not in ("training_mode", "is_test")]
    if version < 7:
        kept.append(helper.make_attribute("is_test", 1))
    _replace(node.attribute, kept)
    del node.output[1:]
    _replace(model.graph.output, [v for v in model.graph.output if v.name not in made])
    return True


def _replace(values: Any, kept: list[Any]) -> None:
    """Keep only some messages of a repeated field."""
    copies = [type(value).FromString(value.SerializeToString()) for value in kept]
    del values[:]
    values.extend(copies)


def _stop_dropout(model: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Switch off a Dropout; return whether it was on."""
    if _version(model) < 7:
        was_on = all(a.name != "is_test" or a.i == 0 for a in node.attribute)
        del node.attribute[:]
        node.attribute.append(helper.make_attribute("is_test", 1))
        return was_on
    if len(node.input) < 3 or not node.input[2]:
        return False
    was_on = _constants(model).get(node.input[2]) is not False
    del node.input[2:]
    return was_on


def _constants(model: onnx.ModelProto) -> dict[str, bool]:
    """Return the truth values that stand in the graph, by name."""
    found = {}
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.BOOL and not list(tensor.dims):
                found[tensor.name] = bool(numpy_helper.to_array(tensor))
    for node in nodes_of(model):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
            if tensor.data_type == TensorProto.BOOL and np.prod(tensor.dims) == 1:
                found[node.output[0]] = bool(numpy_helper.to_array(tensor).ravel()[0])
    return found


def _version(model: onnx.ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in _OF_ONNX), default=0)


def _hold_all(graph: onnx.GraphProto, version: int) -> list[str]:
    """Put the mean in place of every noise in ``graph`` itself; return those operators' names."""
    nodes, held = [], set()
    for node in graph.node:
        steady = _held(graph, node, version)
        nodes += steady or [node]
        if steady:
            held.add(node.op_type)
    if held:
        copy = onnx.GraphProto(node=nodes)
        del graph.node[:]
        graph.node.extend(copy.node)
    return sorted(held)


def _held(graph: onnx.GraphProto, node: onnx.NodeProto, version: int) -> list[onnx.NodeProto]:
    """Return nodes that give the mean of what ``node`` gives; none if that cannot be done."""
    if node.domain not in _OF_ONNX or node.op_type not in (*_NOISE, "Bernoulli"):
        return []
    if not _means_something(graph, node.output[0]):
        return []
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    made, dtype = node.output[0], settings.get("dtype", TensorProto.FLOAT)
    numbers = helper.tensor_dtype_to_np_dtype(dtype)
    if node.op_type == "Bernoulli":
        if numbers.kind != "f":
            return []
        cast = {"to": dtype} if "dtype" in settings else {}
        return [helper.make_node("Cast" if cast else "Identity", node.input, [made], **cast)]
    if "Normal" in node.op_type:
        mean = settings.get("mean", 0.0)
    else:
        mean = (settings.get("low", 0.0) + settings.get("high", 1.0)) / 2
    if not node.op_type.endswith("Like"):
        values = numpy_helper.from_array(np.full(settings["shape"], mean, numbers))
        return [helper.make_node("Constant", [], [made], value=values)]
    shape, filled = f"{made}/shape", f"{made}/mean"
    value = numpy_helper.from_array(np.array([mean], numbers))
    nodes = [
        helper.make_node("Shape", node.input, [shape]),
        helper.make_node("ConstantOfShape", [shape], [filled], value=value),
    ]
    if "dtype" not in settings and version >= 15:
        return [*nodes, helper.make_node("CastLike", [filled, node.input[0]], [made])]
    return [*nodes, helper.make_node("Identity", [filled], [made])]


def _means_something(graph: onnx.GraphProto, name: str) -> bool:
    """Whether the mean may stand for the noise ``name``: nothing decides by it."""
    waiting, seen = [name], {name}
    while waiting:
        name = waiting.pop()
        for scope in graphs_of(graph):
            for node in scope.node:
                if name not in node.input:
                    continue
                if node.op_type in _DECIDING or (node.op_type == "Where" and node.input[0] == name):
                    return False
                if node.op_type in _CARRYING:
                    waiting += [made for made in node.output if made not in seen]
                    seen.update(node.output)
    return True
