"""Tiny ONNX generators, made on the spot: what tests run where a trained one would be heavy.

Every ``write_*_model`` writes one file and returns its path. The native ones keep the contract of
``obs_stylizer.inference.model_spec``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    MASK_OUTPUT,
    OUTPUT,
    STRENGTH_INPUT,
    STYLE_INPUT,
    ModelSpec,
    spec_of,
    write_spec,
)
from obs_stylizer.inference.style_rows import hash_weights, take_rows_as_input, write_rows

OPSET = 17
TINTS = ((60.0, 0.0, 0.0), (0.0, 0.0, 60.0), (0.0, 60.0, 0.0), (40.0, 40.0, 0.0))
"""What each style of the tint model adds to red, green and blue."""

Node = onnx.NodeProto


class Graph:
    """Nodes and constants put together one after another; names are given by counting."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Append a node of one output and return that output's name."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: object, dtype: type = np.float32) -> str:
        """Add an initializer and return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name


def save_graph(
    path: Path,
    graph: Graph,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    spec: ModelSpec | None = None,
    opset: int = OPSET,
) -> Path:
    """Check and write the model."""
    model = helper.make_model(
        helper.make_graph(graph.nodes, "fake", list(inputs), list(outputs), graph.constants),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    if spec is not None:
        write_spec(model, spec)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _frame_info(name: str, dtype: int = TensorProto.UINT8) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, [1, "height", "width", 3])


def _spec(path: Path, styles: Sequence[str] = (), multiple: int = 1) -> ModelSpec:
    return ModelSpec(
        name=path.name.split(".")[0],
        title=path.stem.title(),
        licence="CC0-1.0",
        author="the tests",
        size_multiple=multiple,
        styles=tuple(styles),
    )


def _save_native(
    path: Path,
    graph: Graph,
    *,
    styles: Sequence[str] = (),
    strength: bool = False,
    multiple: int = 1,
) -> Path:
    inputs = [_frame_info(FRAME_INPUT)]
    if styles:
        inputs.append(
            helper.make_tensor_value_info(STYLE_INPUT, TensorProto.FLOAT, [1, len(styles)])
        )
    if strength:
        inputs.append(helper.make_tensor_value_info(STRENGTH_INPUT, TensorProto.FLOAT, [1]))
    return save_graph(path, graph, inputs, [_frame_info(OUTPUT)], _spec(path, styles, multiple))


def _to_bytes(graph: Graph, name: str) -> None:
    clipped = graph.add("Clip", name, graph.constant(0.0), graph.constant(255.0))
    graph.add("Cast", clipped, output=OUTPUT, to=TensorProto.UINT8)


def write_identity_model(path: Path, multiple: int = 1) -> Path:
    """Native; gives every frame back as it is."""
    graph = Graph()
    graph.add("Identity", FRAME_INPUT, output=OUTPUT)
    return _save_native(path, graph, multiple=multiple)


def write_invert_model(path: Path, multiple: int = 1, strength: bool = False) -> Path:
    """Native; gives 255 - frame, exactly. With ``strength`` it has that input too."""
    graph = Graph()
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    inverted = graph.add("Sub", graph.constant(255.0), frame)
    if strength:
        change = graph.add("Sub", inverted, frame)
        inverted = graph.add("Add", frame, graph.add("Mul", change, STRENGTH_INPUT))
    _to_bytes(graph, inverted)
    return _save_native(path, graph, multiple=multiple, strength=strength)


def write_tint_model(path: Path, styles: Sequence[str] = ("red", "blue")) -> Path:
    """Native, of several styles: adds the weighted mean of their :data:`TINTS`."""
    graph = Graph()
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    tint = graph.add("MatMul", STYLE_INPUT, graph.constant(TINTS[: len(styles)]))
    tint = graph.add("Reshape", tint, graph.constant([1, 1, 1, 3], np.int64))
    _to_bytes(graph, graph.add("Add", frame, tint))
    return _save_native(path, graph, styles=styles)


def write_mask_model(path: Path, multiple: int = 16) -> Path:
    """Finds a person wherever a frame is brighter than the middle."""
    graph = Graph()
    level = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    level = graph.add("ReduceMean", level, axes=[3], keepdims=1)
    steep = graph.add("Mul", graph.add("Sub", level, graph.constant(128.0)), graph.constant(50.0))
    bounded = graph.add("Clip", steep, graph.constant(0.0), graph.constant(255.0))
    graph.add("Cast", bounded, to=TensorProto.UINT8, output=MASK_OUTPUT)
    shape = [1, "height", "width", 1]
    made = helper.make_tensor_value_info(MASK_OUTPUT, TensorProto.UINT8, shape)
    spec = _spec(path, multiple=multiple)
    return save_graph(path, graph, [_frame_info(FRAME_INPUT)], [made], spec)


def write_nan_model(path: Path) -> Path:
    """Native by its shapes, but every value is 0/0 before it becomes a byte."""
    graph = Graph()
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    nothing = graph.add("Sub", frame, frame)
    _to_bytes(graph, graph.add("Div", nothing, nothing))
    return _save_native(path, graph)


def write_nan_weights_model(path: Path) -> Path:
    """Native by its shapes; one of its weights is not a number."""
    graph = Graph()
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    _to_bytes(graph, graph.add("Mul", frame, graph.constant([1.0, np.nan, 1.0])))
    return _save_native(path, graph)


def write_wrong_rank_model(path: Path) -> Path:
    """Says that it is native, but its frame has no batch dimension."""
    graph = Graph()
    graph.add("Identity", FRAME_INPUT, output=OUTPUT)
    shape = ["height", "width", 3]
    return save_graph(
        path,
        graph,
        [helper.make_tensor_value_info(FRAME_INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, shape)],
        _spec(path),
    )


def write_float_output_model(path: Path) -> Path:
    """Says that it is native, but its output is float."""
    graph = Graph()
    graph.add("Cast", FRAME_INPUT, output=OUTPUT, to=TensorProto.FLOAT)
    return save_graph(
        path,
        graph,
        [_frame_info(FRAME_INPUT)],
        [_frame_info(OUTPUT, TensorProto.FLOAT)],
        _spec(path),
    )


def write_halving_model(path: Path) -> Path:
    """Says that it is native, and its shapes too, but what comes out is half as large."""
    graph = Graph()
    graph.add(
        "Slice",
        FRAME_INPUT,
        graph.constant([0, 0], np.int64),
        graph.constant([2**31, 2**31], np.int64),
        graph.constant([1, 2], np.int64),
        graph.constant([2, 2], np.int64),
        output=OUTPUT,
    )
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, [1, "h", "w", 3])
    return save_graph(path, graph, [_frame_info(FRAME_INPUT)], [output], _spec(path))


def write_slow_model(path: Path, convolutions: int = 12) -> Path:
    """Native and the identity, after as many useless 32-channel convolutions at full size."""
    graph = Graph()
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    values = graph.add("Transpose", frame, perm=[0, 3, 1, 2])
    random = np.random.default_rng(0)
    channels = 3
    for _ in range(convolutions):
        values = _convolve(graph, values, channels, 32, random)
        channels = 32
    mean = graph.add("ReduceMean", values, axes=[1, 2, 3], keepdims=1)
    nothing = graph.add("Mul", mean, graph.constant(1e-12))
    _to_bytes(graph, graph.add("Add", frame, nothing))
    return _save_native(path, graph)


def _convolve(
    graph: Graph,
    values: str,
    channels_in: int,
    channels_out: int,
    random: np.random.Generator,
    stride: int = 1,
) -> str:
    scale = (2.0 / (9 * channels_in)) ** 0.5
    weights: NDArray[np.float64] = random.normal(size=(channels_out, channels_in, 3, 3)) * scale
    return graph.add(
        "Conv",
        values,
        graph.constant(weights),
        graph.constant(np.zeros(channels_out)),
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        strides=[stride, stride],
    )


def write_convolutional_model(path: Path, styles: Sequence[str] = ()) -> Path:
    """Native, shaped as a trained generator is: 9.6 GFLOP at 640x360, random weights.

    Only for timing and for comparing runtimes; its picture means nothing.
    """
    graph = Graph()
    random = np.random.default_rng(1)
    frame = graph.add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    frame = graph.add("Mul", frame, graph.constant(1 / 127.5))
    frame = graph.add("Sub", frame, graph.constant(1.0))
    frame = graph.add("Transpose", frame, perm=[0, 3, 1, 2])

    def block(values: str, channels_in: int, channels_out: int, stride: int = 1) -> str:
        return graph.add(
            "Relu", _convolve(graph, values, channels_in, channels_out, random, stride)
        )

    values = graph.add("SpaceToDepth", frame, blocksize=4)
    quarter = values = block(values, 48, 48)
    values = block(values, 48, 96, stride=2)
    if styles:
        table = random.normal(size=(len(styles), 96)) * 0.5
        shift = graph.add("MatMul", STYLE_INPUT, graph.constant(table))
        shift = graph.add("Reshape", shift, graph.constant([1, 96, 1, 1], np.int64))
        values = graph.add("Add", values, shift)
    for _ in range(5):
        inner = _convolve(graph, block(values, 96, 96), 96, 96, random)
        values = graph.add("Add", values, graph.add("Mul", inner, graph.constant(0.3)))
    values = graph.add("DepthToSpace", block(values, 96, 192), blocksize=2, mode="CRD")
    values = graph.add("Add", values, quarter)
    values = graph.add("DepthToSpace", block(values, 48, 96), blocksize=2, mode="CRD")
    values = block(values, 24, 24)
    values = _convolve(graph, values, 24, 12, random)
    values = graph.add("DepthToSpace", values, blocksize=2, mode="CRD")
    values = graph.add("Tanh", graph.add("Add", values, frame))
    values = graph.add("Transpose", values, perm=[0, 2, 3, 1])
    values = graph.add("Mul", graph.add("Add", values, graph.constant(1.0)), graph.constant(127.5))
    _to_bytes(graph, values)
    return _save_native(path, graph, styles=styles, multiple=8)


def write_quantized_variant(path: Path) -> Path:
    """Write NAME.int8.onnx beside a model without styles, quantized as trained ones are."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Noise(CalibrationDataReader):
        def __init__(self) -> None:
            random = np.random.default_rng(5)
            frames = [random.integers(0, 256, (1, 48, 64, 3), dtype=np.uint8) for _ in range(4)]
            self._frames = iter(frames)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            frame = next(self._frames, None)
            return None if frame is None else {FRAME_INPUT: frame}

    variant = path.with_name(f"{path.stem}.int8.onnx")
    quantize_static(
        str(path),
        str(variant),
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=["Conv"],
    )
    model = onnx.load(variant)
    write_spec(model, _spec(path, multiple=8).model_copy(update={"precision": "int8"}))
    onnx.save(model, variant)
    return variant


def write_row_tint_model(path: Path, styles: Sequence[str] = ("red", "blue")) -> Path:
    """:func:`write_tint_model` with the styles' rows as its input: three numbers each, the tint."""
    write_tint_model(path, styles)
    model = onnx.load(path)
    spec = spec_of(model, path)
    write_rows(model, take_rows_as_input(model))
    write_spec(model, spec.model_copy(update={"weights_hash": hash_weights(model)}))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
