"""Exporting a filter's network, alone or over another generator's picture."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.compose
import onnxruntime
import torch

from obs_stylizer.documents import load_document
from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import FRAME_INPUT, OUTPUT, ModelSpec, spec_of, write_spec
from obs_stylizer.training.export import PARITY_SIZES, to_onnx
from obs_stylizer.training.filter_networks import build_filter
from obs_stylizer.training.filter_recipes import FilterKind, FilterRecipe
from obs_stylizer.training.native import FrameNetwork
from obs_stylizer.training.pictures import fit_frame

LARGEST_SHARE: Final = 0.002
"""Of pixels that ONNX Runtime may show otherwise than torch: those half-way between colours."""
_SAME: Final = 2


def load_filter_recipe(path: Path) -> FilterRecipe:
    """Read a recipe of the objective ``filter``.

    Raises:
        DocumentError: it cannot be read, or is no such recipe.
    """
    return load_document(path, FilterRecipe)


def export_filter(path: Path, output: Path, pictures: Sequence[Pixels]) -> list[float]:
    """Write the generator of a filter's recipe, and beside it, where there is one, its int8 form.

    Args:
        path: the recipe; a generator that it works on is looked for beside it.
        output: ends in ``.onnx``.
        pictures: real ones, uint8 (height, width, 3), to compare ONNX Runtime with torch on.

    Returns:
        The share of pixels that the filter alone shows otherwise in ONNX Runtime than in
        torch, at each of the sizes that are compared.

    Raises:
        TrainingError: the recipe names a generator that is not there or mixes styles, or
            torch and ONNX Runtime disagree.
    """
    recipe = load_filter_recipe(path)
    network = build_filter(recipe).eval()
    model = to_onnx(network)
    shares = [_differing(network, model, pictures, size) for size in PARITY_SIZES]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = ModelSpec(
        name=recipe.name,
        title=recipe.title,
        licence=recipe.licence,
        author=recipe.author,
        recipe_hash=digest,
        size_multiple=network.size_multiple,
        training_data=recipe.training_data,
        # Dots, blocks and paper stay where they are while what they show moves; strokes that
        # are a function of the picture alone are calm as it is.
        coherence=0.0,
        keeps_in_half=recipe.keeps_in_half,
        enlarging="nearest" if recipe.blocks is not None else "smooth",
    )
    if not recipe.over:
        _save(model, spec, output)
        return shares
    base = path.parent / recipe.over
    if not base.exists():
        raise TrainingError(f"{path}: there is no {base}", "export that one first")
    small = base.with_name(f"{base.stem}.int8.onnx")
    for file, target in (
        (base, output),
        (small, output.with_name(f"{output.stem}.int8.onnx")),
    ):
        if file.exists():
            made, below = _over(file, model, network)
            del made.metadata_props[:]
            taken = {"size_multiple": below.size_multiple, "precision": below.precision}
            _save(made, spec.model_copy(update=taken), target)
    return shares


def finish_model(path: Path, kind: FilterKind) -> None:
    """Let a filter work on the picture of an exported generator, in its file.

    Args:
        path: a native generator; it is replaced.
        kind: the filter.

    Raises:
        TrainingError: its pictures are a mix of styles, whose weights a filter has no input for.
    """
    network = build_filter(kind).eval()
    made, below = _over(path, to_onnx(network), network)
    # What was measured was the picture before.
    changed = {"keeps_in_half": kind.keeps_in_half, "quality": {}}
    _save(made, below.model_copy(update=changed), path)


def _over(
    path: Path, model: onnx.ModelProto, network: FrameNetwork
) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return one graph of an exported generator and a filter of its picture, and what it is.

    Args:
        path: the generator.
        model: the filter.
        network: that it was exported from.

    Raises:
        TrainingError: the generator mixes styles, whose weights a filter has no input for.
    """
    below = onnx.load(path)
    spec = spec_of(below, path)
    if spec.styles:
        raise TrainingError(f"{path} mixes styles", "a filter works on one that has none")
    multiple = math.lcm(network.size_multiple, spec.size_multiple)
    return _joined(below, model), spec.model_copy(update={"size_multiple": multiple})


def _save(model: onnx.ModelProto, spec: ModelSpec, path: Path) -> None:
    write_spec(model, spec)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _differing(
    network: FrameNetwork,
    model: onnx.ModelProto,
    pictures: Sequence[Pixels],
    size: FrameSize,
) -> float:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    multiple, shares = network.size_multiple, []
    fitting = FrameSize(size.width // multiple * multiple, size.height // multiple * multiple)
    for picture in pictures:
        frame = fit_frame(picture, fitting)[None]
        made = session.run([OUTPUT], {FRAME_INPUT: frame})[0]
        wanted = network(torch.from_numpy(frame)).numpy()
        far = np.abs(made.astype(np.int16) - wanted.astype(np.int16)) > _SAME
        shares.append(float(far.any(-1).mean()))
    if max(shares) > LARGEST_SHARE:
        raise TrainingError(
            f"ONNX Runtime shows {100 * max(shares):.1f} % of the pixels at {size} otherwise "
            "than torch",
            "the exported graph does not do what the recipe says",
        )
    return max(shares)


def _joined(below: onnx.ModelProto, above: onnx.ModelProto) -> onnx.ModelProto:
    """Return one graph that filters what ``below`` makes."""
    # What is below keeps its names: by them its weights are read back for further training.
    prefix = "above_"
    while any(name.startswith(prefix) for node in below.graph.node for name in node.output):
        prefix += "above_"
    upper = onnx.compose.add_prefix(above, prefix)
    upper.ir_version = below.ir_version
    kept = list(below.metadata_props)
    del below.metadata_props[:]
    made: onnx.ModelProto = onnx.compose.merge_models(
        below, upper, [(OUTPUT, f"{prefix}{FRAME_INPUT}")]
    )
    # Inside it carries another name, so that the whole can have this one.
    for node in made.graph.node:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == OUTPUT:
                    names[number] = f"{prefix}takes"
                elif name == f"{prefix}{OUTPUT}":
                    names[number] = OUTPUT
    made.graph.output[0].name = OUTPUT
    del made.graph.value_info[:]
    del made.metadata_props[:]
    made.metadata_props.extend(kept)
    return made
