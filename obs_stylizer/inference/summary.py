"""What is in a model file, told without running it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

from obs_stylizer.inference.latent_model import LatentSpec, latent_spec_of
from obs_stylizer.inference.locate import VARIANTS, variant_of
from obs_stylizer.inference.model_spec import (
    LATENT_METADATA_KEY,
    MASK_OUTPUT,
    METADATA_KEY,
    ModelSpec,
    spec_of,
)
from obs_stylizer.inference.native_model import dimensions_of, load_proto


@dataclass(frozen=True, slots=True)
class TensorSummary:
    """One input or output: name, number format, and shape with names for free dimensions."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        sides = ", ".join(str(side) if side != "" else "?" for side in self.shape)
        return f"{self.name}: {self.dtype} ({sides})"


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What a file holds.

    Attributes:
        path: the file.
        bytes: its size, without weights in other files.
        sha256: its hash.
        opset: version of the standard operators.
        parameters: how many numbers its weights are.
        nodes: how many operators its graph has, by name, the most frequent first.
        inputs: what it takes.
        outputs: what it gives.
        spec: what it says about itself; None for a foreign model and for one of noise.
        latent: what it says about itself where it makes pictures from noise, else None.
        variants: what the files beside it are: ``lite``, and other precisions.
    """

    path: Path
    bytes: int
    sha256: str
    opset: int
    parameters: int
    nodes: dict[str, int]
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    spec: ModelSpec | None
    latent: LatentSpec | None
    variants: tuple[str, ...]

    @property
    def finds_people(self) -> bool:
        """Whether it is a network that tells people from the background, and no generator."""
        return [tensor.name for tensor in self.outputs] == [MASK_OUTPUT]


def summarise(path: Path) -> ModelSummary:
    """Read any ONNX file: native, foreign, or one that makes pictures from noise.

    Raises:
        ModelError: it is missing or no ONNX file, or its description is damaged.
    """
    proto = load_proto(path)
    weights = {tensor.name for tensor in proto.graph.initializer}
    notes = {prop.key for prop in proto.metadata_props}
    return ModelSummary(
        path=path,
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        opset=max(
            (o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0
        ),
        parameters=sum(_count(tensor) for tensor in proto.graph.initializer),
        nodes=dict(Counter(node.op_type for node in proto.graph.node).most_common()),
        inputs=tuple(_tensor(v) for v in proto.graph.input if v.name not in weights),
        outputs=tuple(_tensor(v) for v in proto.graph.output),
        spec=spec_of(proto, path) if METADATA_KEY in notes else None,
        latent=latent_spec_of(proto, path) if LATENT_METADATA_KEY in notes else None,
        variants=variants_of(path),
    )


def read_spec(path: Path) -> ModelSpec:
    """Return what a native model says about itself.

    Raises:
        ModelError: it is missing, no ONNX file, or no native model.
    """
    return spec_of(load_proto(path), path)


def variants_of(path: Path) -> tuple[str, ...]:
    """Return for what variants a file stands beside ``path``: other precisions, and ``lite``."""
    return tuple(variant for variant in VARIANTS if variant_of(path, variant))


def _count(tensor: onnx.TensorProto) -> int:
    count = 1
    for side in tensor.dims:
        count *= side
    return count


def _tensor(value: onnx.ValueInfoProto) -> TensorSummary:
    name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    return TensorSummary(
        value.name, {"float": "float32"}.get(name, name), dimensions_of(value) or ()
    )
