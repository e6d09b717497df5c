from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from obs_stylizer.inference.convention import ChannelOrder, ValueRange
from obs_stylizer.inference.graph_hints import input_hint, output_hint
from tests.fakes.models import Graph, save_graph

V = ValueRange
Step = tuple[str, object]


def graph_of(folder: Path, steps: list[Step]) -> onnx.GraphProto:
    """A chain of operators from “x” to “y”; each with a constant, or with none."""
    graph = Graph()
    name = "x"
    for kind, value in steps:
        if value is None:
            name = graph.add(kind, name)
        elif kind == "Clip":
            low, high = value  # type: ignore[misc]
            name = graph.add(kind, name, graph.constant(low), graph.constant(high))
        elif kind == "rSub":
            name = graph.add("Sub", graph.constant(value), name)
        else:
            name = graph.add(kind, name, graph.constant(value))
    graph.add("Identity", name, output="y")
    sides = [1, 3, "h", "w"]
    info = helper.make_tensor_value_info
    path = save_graph(
        folder / "g.onnx",
        graph,
        [info("x", TensorProto.FLOAT, sides)],
        [info("y", TensorProto.FLOAT, sides)],
    )
    return onnx.load(path).graph


def three(*values: float) -> list[list[list[float]]]:
    return [[[value]] for value in values]


@pytest.mark.parametrize(
    ("steps", "taken", "channels"),
    [
        ([("Div", 255.0)], V.BYTE, None),
        ([("Mul", 1 / 255)], V.BYTE, None),
        ([("Div", 127.5), ("Sub", 1.0)], V.BYTE, None),
        ([("Sub", 127.5), ("Div", 127.5)], V.BYTE, None),
        ([("Mul", 2.0), ("Sub", 1.0)], V.UNIT, None),
        ([("Mul", 255.0)], V.UNIT, None),
        ([("Add", 1.0), ("Div", 2.0)], V.SIGNED, None),
        ([("Add", 1.0), ("Mul", 127.5)], V.SIGNED, None),
        (
            [("Sub", three(0.485, 0.456, 0.406)), ("Div", three(0.229, 0.224, 0.225))],
            V.UNIT,
            ChannelOrder.RGB,
        ),
        (
            [("Sub", three(0.406, 0.456, 0.485)), ("Div", three(0.225, 0.224, 0.229))],
            V.UNIT,
            ChannelOrder.BGR,
        ),
        ([("Sub", three(103.939, 116.779, 123.68))], V.BYTE, ChannelOrder.BGR),
        ([("Sub", three(123.68, 116.779, 103.939))], V.BYTE, ChannelOrder.RGB),
    ],
)
def test_scaling_at_the_beginning_tells_what_comes_in(
    tmp_path: Path, steps: list[Step], taken: V, channels: ChannelOrder | None
) -> None:
    hint = input_hint(graph_of(tmp_path, [*steps, ("Relu", None)]), "x")
    assert hint is not None
    assert hint.value_range is taken
    assert hint.channels is channels
    assert "the graph itself turns" in hint.why


@pytest.mark.parametrize(
    "steps", [[("Relu", None)], [("Mul", 0.3)], [("Add", 7.0)], [("rSub", 1.0)]]
)
def test_other_arithmetic_at_the_beginning_tells_nothing(tmp_path: Path, steps: list[Step]) -> None:
    assert input_hint(graph_of(tmp_path, steps), "x") is None


@pytest.mark.parametrize(
    ("steps", "made"),
    [
        ([("Tanh", None)], V.SIGNED),
        ([("Sigmoid", None)], V.UNIT),
        ([("Tanh", None), ("Add", 1.0), ("Mul", 0.5)], V.UNIT),
        ([("Tanh", None), ("Add", 1.0), ("Mul", 127.5)], V.BYTE),
        ([("Tanh", None), ("Mul", 150.0), ("Add", 127.5)], V.BYTE),
        ([("Sigmoid", None), ("Mul", 255.0)], V.BYTE),
        ([("Sigmoid", None), ("rSub", 1.0)], V.UNIT),
        ([("Clip", (0.0, 1.0))], V.UNIT),
        ([("Clip", (-1.0, 1.0)), ("Mul", 127.5), ("Add", 127.5)], V.BYTE),
        ([("Clip", (0.0, 255.0)), ("Div", 255.0)], V.UNIT),
    ],
)
def test_a_bounded_end_tells_what_goes_out(tmp_path: Path, steps: list[Step], made: V) -> None:
    hint = output_hint(graph_of(tmp_path, steps), "y")
    assert hint is not None
    assert hint.value_range is made
    assert "the graph ends in" in hint.why


@pytest.mark.parametrize(
    "steps",
    [
        [("Relu", None)],
        [("Tanh", None), ("Mul", 7.0)],
        [("Tanh", None), ("Relu", None)],
        [("Clip", (0.0, 6.0))],
    ],
)
def test_any_other_end_tells_nothing(tmp_path: Path, steps: list[Step]) -> None:
    assert output_hint(graph_of(tmp_path, steps), "y") is None
