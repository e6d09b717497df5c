"""A tiny ONNX generator that makes pictures from noise, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from obs_stylizer.inference.latent_model import (
    LATENT_INPUT,
    METADATA_KEY,
    PICTURE_OUTPUT,
    LatentSpec,
)
from tests.fakes.models import OPSET, Graph


def write_latent_model(
    path: Path, latent: int = 5, size: int = 16, described: str | None = None
) -> Path:
    """Write a generator whose every pixel is another mixture of the noise, around mid-grey.

    Args:
        path: ends in ``.onnx``.
        latent: length of the noise.
        size: side of the pictures.
        described: text to put in the place of its description.
    """
    random = np.random.default_rng(0)
    graph = Graph()
    weights = graph.constant(30 * random.standard_normal((latent, size * size * 3)))
    mixed = graph.add("MatMul", LATENT_INPUT, weights)
    raised = graph.add("Add", mixed, graph.constant([128.0]))
    bounded = graph.add("Clip", raised, graph.constant(0.0), graph.constant(255.0))
    shaped = graph.add("Reshape", bounded, graph.constant([1, size, size, 3], np.int64))
    graph.add("Cast", shaped, output=PICTURE_OUTPUT, to=TensorProto.UINT8)
    inputs = [helper.make_tensor_value_info(LATENT_INPUT, TensorProto.FLOAT, [1, latent])]
    outputs = [helper.make_tensor_value_info(PICTURE_OUTPUT, TensorProto.UINT8, [1, size, size, 3])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "latent", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    spec = LatentSpec(name=path.stem, title="Tiny clouds", latent=latent, size=size)
    model.metadata_props.add(
        key=METADATA_KEY, value=spec.model_dump_json() if described is None else described
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
