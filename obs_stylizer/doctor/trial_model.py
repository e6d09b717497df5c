"""A small generator, made on the spot, that every execution provider has to run.

It is made of what trained generators are made of, in the same order: cast, unshuffle, convolution,
instance norm, residual, shuffle, clip, cast. Its weights come from a fixed seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, ModelSpec, write_spec

SIZE: Final = FrameSize(128, 72)
"""Of the frame it is shown: small enough for ONNX's own slow reference to run it in a moment."""

_CHANNELS: Final = 16
_BLOCK: Final = 2


def write_trial_model(path: Path) -> Path:
    """Write the generator, a native one for frames of any even size."""
    random = np.random.default_rng(3)
    weights: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def constant(values: object, dtype: type = np.float32) -> str:
        name = f"weight_{len(weights)}"
        weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        name = output or f"{kind.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolution(given: str, channels_in: int, channels_out: int) -> str:
        spread = 1 / np.sqrt(9 * channels_in)
        kernel = random.normal(0, spread, (channels_out, channels_in, 3, 3))
        bias = random.normal(0, 0.05, channels_out)
        return add("Conv", given, constant(kernel), constant(bias), pads=[1, 1, 1, 1])

    inner = 3 * _BLOCK**2
    picture = add("Cast", FRAME_INPUT, to=TensorProto.FLOAT)
    picture = add("Transpose", picture, perm=[0, 3, 1, 2])
    picture = add("Sub", add("Div", picture, constant(127.5)), constant(1.0))
    small = add("SpaceToDepth", picture, blocksize=_BLOCK)
    features = add("Relu", convolution(small, inner, _CHANNELS))
    scale, shift = constant(np.ones(_CHANNELS)), constant(np.zeros(_CHANNELS))
    normed = add("InstanceNormalization", features, scale, shift, epsilon=1e-5)
    features = add("Add", features, add("Relu", convolution(normed, _CHANNELS, _CHANNELS)))
    small = add("Add", small, convolution(features, _CHANNELS, inner))
    picture = add("DepthToSpace", small, blocksize=_BLOCK, mode="CRD")
    picture = add("Mul", add("Add", picture, constant(1.0)), constant(127.5))
    picture = add("Clip", picture, constant(0.0), constant(255.0))
    picture = add("Transpose", picture, perm=[0, 2, 3, 1])
    add("Cast", picture, output=OUTPUT, to=TensorProto.UINT8)
    shape = [1, "height", "width", 3]
    graph = helper.make_graph(
        nodes,
        "trial",
        [helper.make_tensor_value_info(FRAME_INPUT, TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.UINT8, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    write_spec(model, ModelSpec(name="trial", size_multiple=_BLOCK))
    onnx.save(model, path)
    return path


def trial_frame() -> Pixels:
    """The frame that it is shown, uint8 (72, 128, 3): gradients, edges and some noise."""
    random = np.random.default_rng(5)
    x = np.linspace(0, 255, SIZE.width)[np.newaxis, :, np.newaxis]
    y = np.linspace(0, 255, SIZE.height)[:, np.newaxis, np.newaxis]
    picture = np.concatenate([x + 0 * y, y + 0 * x, 255 - (x + y) / 2], axis=2)
    picture[20:50, 30:90] = (230, 40, 90)
    noisy = picture + random.normal(0, 6, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def answer_by_definition(path: Path, frame: Pixels) -> Pixels:
    """What the generator must give, by ONNX's own reference, without any runtime."""
    from onnx.reference import ReferenceEvaluator

    given: NDArray[np.uint8] = frame[np.newaxis]
    made = ReferenceEvaluator(str(path)).run(None, {FRAME_INPUT: given})[0]
    answer: Pixels = np.asarray(made, np.uint8)[0]
    return answer
