"""Walking through a graph and the graphs inside its If, Loop and Scan nodes.

Inner graphs read the values of the graphs around them, so a name means the same thing in all
scopes below the one that makes it. Bodies of local functions are scopes of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that stand in the attributes of a node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside it, outer ones first."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from graphs_of(inner)


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a model: of inner graphs and of local functions too."""
    for graph in graphs_of(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for inner in inner_graphs(node):
                for graph in graphs_of(inner):
                    yield from graph.node


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that a model holds: weights and those in attributes of nodes."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes_of(model):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            yield from attribute.tensors


def names_read(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Return every name that nodes read, in their inner graphs too."""
    used: set[str] = set()
    for node in nodes:
        used.update(node.input)
        for graph in inner_graphs(node):
            used |= names_read(graph.node)
            used.update(value.name for value in graph.output)
    return used


def names_in(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all values in a graph and in those inside it."""
    names: set[str] = set()
    for scope in graphs_of(graph):
        for values in (scope.input, scope.output, scope.initializer):
            names.update(value.name for value in values)
        names.update(sparse.values.name for sparse in scope.sparse_initializer)
        for node in scope.node:
            names.update(node.input)
            names.update(node.output)
    return names


def rename_values(graph: onnx.GraphProto, new_names: Mapping[str, str]) -> None:
    """Rename values in a graph and in those inside it; new names must be free in all of them."""
    for scope in graphs_of(graph):
        for values in (scope.input, scope.output, scope.initializer, scope.value_info):
            for value in values:
                value.name = new_names.get(value.name, value.name)
        for sparse in scope.sparse_initializer:
            sparse.values.name = new_names.get(sparse.values.name, sparse.values.name)
        for node in scope.node:
            node.input[:] = [new_names.get(name, name) for name in node.input]
            node.output[:] = [new_names.get(name, name) for name in node.output]


def free_name(wanted: str, taken: set[str]) -> str:
    """Return ``wanted``, or it with a number where it is taken; the name counts as taken then."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    taken.add(name)
    return name
