"""The trained weights of an exported generator, to train it further from the ``.onnx`` alone.

An exported file keeps the names of its parameters. Most are stored as they were trained; some
layers became others that compute the same for less work (see
:mod:`~obs_stylizer.training.reparameterization`). Each of these is a linear function of the trained
weights that loses none of them, so it is undone by its pseudoinverse. A few small vectors the
exporter folds into others or stores once where two are equal: :func:`keep_weights` puts these
into the file's metadata.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from obs_stylizer.errors import TrainingError
from obs_stylizer.inference.model_spec import ModelSpec, spec_of
from obs_stylizer.inference.style_rows import read_rows
from obs_stylizer.training.generators import (
    Correction,
    FastGenerator,
    GatheringGenerator,
    PictureGenerator,
)
from obs_stylizer.training.generators.layers import (
    JoinConvNorm,
    SmoothSubpixelConv,
    UpConvNorm,
)
from obs_stylizer.training.native import NativeGenerator, as_they_lie
from obs_stylizer.training.reparameterization import doubled

WEIGHT_PREFIX: Final = "generator."
"""Of the names that the generator's parameters have in an exported graph."""
_METADATA_KEY: Final = "obs_stylizer_weights"


def read_spec(path: Path) -> ModelSpec:
    """Return what the exported file at ``path`` says about itself.

    Raises:
        TrainingError: there is no such file.
        ModelError: it is no native generator.
    """
    if not path.is_file():
        raise TrainingError(f"there is no model {path}")
    return spec_of(onnx.load(path), path)


def keep_weights(model: onnx.ModelProto, native: NativeGenerator) -> None:
    """Put the weights of ``native`` that the graph of ``model`` lacks into its metadata."""
    named = {entry.name: entry.dims for entry in model.graph.initializer}
    lost = {
        name: onnx.numpy_helper.from_array(value.numpy())
        for name, value in native.generator.state_dict().items()
        if f"{WEIGHT_PREFIX}{name}" not in named
    }
    if lost:
        texts = {n: base64.b64encode(t.SerializeToString()).decode() for n, t in lost.items()}
        model.metadata_props.add(key=_METADATA_KEY, value=json.dumps(texts, separators=(",", ":")))


def weights_of(path: Path, generator: PictureGenerator) -> dict[str, Tensor]:
    """Return the trained weights in an exported file, as the state of ``generator``.

    Args:
        path: an ``.onnx`` that :func:`~obs_stylizer.training.export.export_run` wrote.
        generator: of the same recipe; it is left as it is. Its number of styles is the file's.

    Raises:
        TrainingError: the file's weights have no names, or are another generator's.
    """
    stored = _stored(onnx.load(path), path)
    native = NativeGenerator(generator)
    shapes = native.generator.state_dict()
    missing = sorted(set(shapes) - set(stored))
    if missing:
        raise TrainingError(
            f"{path} has no weights {missing[0]}: another kind of generator was exported",
            "start from a file that was exported from the same generator section",
        )
    with torch.no_grad():
        for name, value in shapes.items():
            kept = torch.from_numpy(np.array(stored[name]))
            if kept.shape != value.shape:
                kept = _with_empty_rim(kept, value)
            if kept.shape != value.shape:
                raise TrainingError(
                    f"{path}: {name} is {tuple(kept.shape)}, but this recipe's generator has "
                    f"{tuple(value.shape)}",
                    "start from a file that was exported from the same generator section",
                )
            value.copy_(kept)
    state = {name: value.clone() for name, value in shapes.items()}
    inner, prefix = generator, ""
    if isinstance(generator, Correction):
        inner, prefix = generator.inner, "inner."
    if isinstance(inner, GatheringGenerator):
        _undo(state, prefix, inner)
    wanted = generator.state_dict()
    return {name: state[name].reshape(value.shape) for name, value in wanted.items()}


def _stored(model: onnx.ModelProto, path: Path) -> dict[str, NDArray[Any]]:
    stored = {
        entry.name.removeprefix(WEIGHT_PREFIX): onnx.numpy_helper.to_array(entry)
        for entry in model.graph.initializer
        if entry.name.startswith(WEIGHT_PREFIX)
    }
    if rows := read_rows(model, path):
        stored |= {name.removeprefix(WEIGHT_PREFIX): rows.part(name) for name, _ in rows.parts}
    for entry in model.metadata_props:
        if entry.key == _METADATA_KEY:
            for name, text in json.loads(entry.value).items():
                tensor = onnx.TensorProto.FromString(base64.b64decode(text))
                stored[name] = onnx.numpy_helper.to_array(tensor)
    return stored


def _with_empty_rim(kernel: Tensor, wanted: Tensor) -> Tensor:
    """Give back the row and column of zeros that exporting cut off."""
    padded = F.pad(kernel, (1, 0, 1, 0)) if kernel.ndim == 4 else kernel
    return padded if padded.shape == wanted.shape else kernel


def _undo(state: dict[str, Tensor], prefix: str, generator: GatheringGenerator) -> None:
    """Turn the state of a native generator into that of the trained one, in place."""
    stem = f"{prefix}stem.convolution.weight"
    state[stem] = _unordered(state[stem], as_they_lie(generator.input_factor), 1)
    order = as_they_lie(generator.output_factor)
    for part in ("weight", "bias"):
        name = f"{prefix}last.{part}"
        state[name] = _unordered(state[name], order, 0)
    if isinstance(generator.last, SmoothSubpixelConv):
        _unblur(state, f"{prefix}last.", generator.last.colours)
    for name, layer in generator.named_modules():
        if isinstance(layer, JoinConvNorm):
            _unsplit(state, f"{prefix}{name}.")
        elif isinstance(layer, UpConvNorm) and (
            not isinstance(generator, FastGenerator) or name == "up"
        ):
            weight = f"{prefix}{name}.convolution.weight"
            state[weight] = _undoubled(state[weight])
    if isinstance(generator, FastGenerator) and isinstance(generator.wide, JoinConvNorm):
        name = f"{prefix}wide.convolution.weight"
        features = state[name].shape[1] - generator.wide.skipped
        joined = _unordered(state[name][:, features:], order, 1)
        state[name] = torch.cat([state[name][:, :features], joined], 1)


def _unordered(weights: Tensor, order: list[int], axis: int) -> Tensor:
    back = torch.tensor(order).argsort()
    return weights.index_select(axis, back)


def _unsplit(state: dict[str, Tensor], prefix: str) -> None:
    doubled = _undoubled(state.pop(f"{prefix}doubling.weight"))
    name = f"{prefix}convolution.weight"
    state[name] = torch.cat([doubled, state[name]], 1)


def _undoubled(taps: Tensor) -> Tensor:
    """Return the 3x3 kernel (O, C, 3, 3) of a transposed convolution (C, O, 4, 4)."""
    back = torch.linalg.pinv(doubled(torch.eye(3, dtype=torch.float64), 1).T)
    kernel = torch.einsum("ai,bj,coij->ocab", back, back, taps.double())
    return kernel.float()


def _unblur(state: dict[str, Tensor], prefix: str, colours: int) -> None:
    """Return the sub-pixel convolution before its blur was folded into it."""
    folded = state[f"{prefix}weight"][:, :, 1:, 1:].double()
    inputs = folded.shape[1]
    probe = SmoothSubpixelConv(1, 1)
    matrix = torch.stack([_folded(probe, unit) for unit in torch.eye(36)], 1)
    back = torch.linalg.pinv(matrix.double())
    flat = folded.view(colours, 4, inputs, 16).permute(0, 2, 1, 3).reshape(colours * inputs, 64)
    trained = (flat @ back.T).view(colours, inputs, 4, 9).permute(0, 2, 1, 3)
    state[f"{prefix}weight"] = trained.reshape(4 * colours, inputs, 3, 3).float()


def _folded(probe: SmoothSubpixelConv, weight: Tensor) -> Tensor:
    """Return what ``probe`` would be exported as with this weight (36,): (64,)."""
    with torch.no_grad():
        probe.weight.copy_(weight.view(4, 1, 3, 3))
        return probe.folded()[0].flatten()
