"""Export: the moving-average generator of a run as a native ONNX file, checked against torch."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.model_spec import (
    FRAME_INPUT,
    OUTPUT,
    STYLE_INPUT,
    ModelSpec,
    write_spec,
)
from obs_stylizer.inference.style_rows import (
    hash_weights,
    style_feed,
    take_rows_as_input,
    write_rows,
)
from obs_stylizer.training.exported_weights import WEIGHT_PREFIX, keep_weights
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.native import FrameNetwork, NativeGenerator
from obs_stylizer.training.pictures import fit_frame
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.run_directory import RunDirectory

logger = logging.getLogger(__name__)

EXPORTED: Final = {
    "painting": "painter",
    "paired": "translator",
    "enhance": "translator",
    "unpaired": "forth",
}
"""Which of an objective's generators is exported."""
OPSET: Final = 17
LARGEST_DIFFERENCE: Final = 2
PARITY_SIZES: Final = (FrameSize(640, 360), FrameSize(328, 248))


@dataclass(frozen=True)
class Parity:
    """How far ONNX Runtime's picture is from torch's, in levels of 255."""

    largest: int
    mean: float


def trained_generator(run: RunDirectory, name: str | None = None) -> NativeGenerator:
    """Return the moving-average generator of a run's newest checkpoint.

    Args:
        run: with a checkpoint.
        name: which of its objective's generators; None for the one that is exported.

    Raises:
        TrainingError: there is no checkpoint that fits the recipe.
    """
    recipe = run.recipe
    generator = build_generator(recipe.generator, len(style_names(recipe)))
    state = run.load_checkpoint(torch.device("cpu"))["average"]
    prefix = f"{name or EXPORTED[recipe.objective]}."
    generator.load_state_dict(
        {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    )
    return NativeGenerator(generator)


def style_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the styles that the generator of ``recipe`` mixes."""
    return tuple(recipe.painting.styles) if recipe.painting else ()


def describe(recipe: Recipe, size_multiple: int, quality: dict[str, float]) -> ModelSpec:
    """Return what the exported file says about itself."""
    return ModelSpec(
        name=recipe.name,
        title=recipe.title,
        licence=recipe.licence,
        author=recipe.author,
        recipe_hash=recipe.digest,
        size_multiple=size_multiple,
        styles=style_names(recipe),
        training_data=recipe.training_data,
        quality=quality,
    )


def export_run(
    run: RunDirectory,
    output: Path,
    pictures: Sequence[Pixels],
    quality: dict[str, float] | None = None,
) -> list[Parity]:
    """Write the generator of ``run`` to ``output`` and its recipe beside it.

    Nothing is written unless the file passes every check.

    Args:
        run: with a checkpoint.
        output: ends in ``.onnx``.
        pictures: real ones, uint8 (height, width, 3), to compare ONNX Runtime with torch on.
        quality: measured figures to put into the file.

    Returns:
        The parity at each of :data:`PARITY_SIZES`.

    Raises:
        TrainingError: the run has no checkpoint, the graph cannot be exported, or ONNX Runtime
            and torch disagree.
    """
    native = trained_generator(run)
    model = to_onnx(native)
    keep_weights(model, native)
    spec = describe(run.recipe, native.size_multiple, quality or {})
    if native.styles:
        give_rows(model)
    make_compact(model.graph)
    if native.styles:
        spec = spec.model_copy(update={"weights_hash": hash_weights(model)})
    write_spec(model, spec)
    return save_checked(
        model,
        run,
        output,
        lambda part: [check_parity(native, part, pictures, size) for size in PARITY_SIZES],
    )


def save_checked(
    model: onnx.ModelProto, run: RunDirectory, output: Path, check: Callable[[Path], list[Parity]]
) -> list[Parity]:
    """Write ``model`` to ``output`` and the recipe of ``run`` beside it, if it passes ``check``.

    Args:
        model: with its spec.
        run: that it was trained in.
        output: ends in ``.onnx``.
        check: compares a file with torch; raises where they disagree.

    Returns:
        What ``check`` returned.
    """
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "exported.onnx"
        onnx.save(model, part)
        parity = check(part)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, output)
    beside, own = output.with_suffix(".yaml"), run.path / "recipe.yaml"
    if not beside.exists() or beside.read_bytes() != own.read_bytes():
        shutil.copyfile(own, beside)
    return parity


def to_onnx(native: FrameNetwork) -> onnx.ModelProto:
    """Return ``native`` as an ONNX model of :data:`OPSET`, height and width free.

    Raises:
        TrainingError: torch cannot export it, or made another opset of it.
    """
    multiple = native.size_multiple
    arguments: tuple[torch.Tensor, ...] = (
        torch.zeros(1, 12 * multiple, 16 * multiple, 3, dtype=torch.uint8),
    )
    if native.styles:
        arguments += (torch.full((1, native.styles), 1.0 / native.styles),)
    model = export_graph(native, arguments, OUTPUT)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") != OPSET:
        raise TrainingError(f"torch exported opset {opsets.get('')} instead of {OPSET}")
    cut_empty_taps(model)
    return model


def make_compact(graph: onnx.GraphProto) -> None:
    """Leave out of a graph what nothing needs, in place: some kilobytes of a file.

    What passes between nodes and constants get short names; inputs, outputs and weights keep
    theirs. Of the nodes only convolutions, which quantization goes by, keep one. Their attributes
    that say what is said by leaving them out go.
    """
    kept = {value.name for value in (*graph.input, *graph.output)}
    names: dict[str, str] = {}
    for constant in graph.initializer:
        if constant.name.startswith(WEIGHT_PREFIX):
            kept.add(constant.name)
        else:
            constant.name = names.setdefault(constant.name, f"c{len(names)}")
    for number, node in enumerate(graph.node):
        node.ClearField("doc_string")
        node.ClearField("name")
        if node.op_type == "Conv":
            node.name = f"conv{number}"
            needed = [entry for entry in node.attribute if not _is_default(entry)]
            del node.attribute[:]
            node.attribute.extend(needed)
        for name in node.output:
            if name and name not in kept:
                names[name] = f"v{len(names)}"
    for node in graph.node:
        for listed in (node.input, node.output):
            listed[:] = [names.get(name, name) for name in listed]


def _is_default(attribute: onnx.AttributeProto) -> bool:
    """Whether a convolution does the same without ``attribute``."""
    return (
        (attribute.name == "auto_pad" and attribute.s == b"NOTSET")
        or (attribute.name == "group" and attribute.i == 1)
        or (attribute.name == "dilations" and set(attribute.ints) == {1})
    )


def export_graph(
    native: FrameNetwork, arguments: tuple[torch.Tensor, ...], output: str
) -> onnx.ModelProto:
    """Return the graph that torch makes of ``native``, height and width of a frame free.

    Args:
        native: takes a frame and maybe weights of styles.
        arguments: examples of them.
        output: name of what it gives.

    Raises:
        TrainingError: torch cannot export it.
    """
    multiple = native.size_multiple
    height, width = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
    shapes: dict[str, Any] = {"frame": {1: multiple * height, 2: multiple * width}}
    names = [FRAME_INPUT]
    if len(arguments) > 1:
        shapes["style"] = None
        names.append(STYLE_INPUT)
    with quiet_exporter():
        program = torch.onnx.export(
            native,
            arguments,
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=names,
            output_names=[output],
            dynamic_shapes=shapes,
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch exported no graph")
    model: onnx.ModelProto = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        if value.name in (FRAME_INPUT, output):
            value.type.tensor_type.shape.dim[1].dim_param = "height"
            value.type.tensor_type.shape.dim[2].dim_param = "width"
    # Shapes inferred for the example's symbols, and notes on torch's sources, help nobody.
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    return model


def give_rows(model: onnx.ModelProto) -> None:
    """Have ``model`` take a style's row instead of weights of its styles, and bring their rows."""
    write_rows(model, take_rows_as_input(model))


def cut_empty_taps(model: onnx.ModelProto) -> None:
    """Leave out the first row and column of every convolution where they are nothing but zeros.

    ONNX, unlike torch, can pad the two ends of an axis differently.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights:
            continue
        tensor = weights[node.input[1]]
        kernel = onnx.numpy_helper.to_array(tensor)
        pads = next((entry for entry in node.attribute if entry.name == "pads"), None)
        if pads is None or kernel.shape[2] < 2 or kernel[:, :, 0].any() or kernel[..., 0].any():
            continue
        top, left, bottom, right = pads.ints
        if top < 1 or left < 1:
            continue
        cut = np.ascontiguousarray(kernel[:, :, 1:, 1:])
        tensor.CopyFrom(onnx.numpy_helper.from_array(cut, tensor.name))
        pads.ints[:] = [top - 1, left - 1, bottom, right]
        for entry in node.attribute:
            if entry.name == "kernel_shape":
                entry.ints[:] = cut.shape[2:]


def check_parity(
    native: NativeGenerator, path: Path, pictures: Sequence[Pixels], size: FrameSize
) -> Parity:
    """Compare the file at ``path`` in ONNX Runtime with torch.

    Raises:
        TrainingError: a pixel differs by more than :data:`LARGEST_DIFFERENCE`.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    largest, total = 0, 0.0
    mixes: list[np.ndarray[Any, np.dtype[np.float32]] | None] = [None]
    if native.styles:
        even = np.full((native.styles,), 1 / native.styles, np.float32)
        mixes = [*np.eye(native.styles, dtype=np.float32), even]
    for number, mix in enumerate(mixes):
        frame = fit_frame(pictures[number % len(pictures)], size)[None]
        feeds: dict[str, Any] = {FRAME_INPUT: frame}
        style = None
        if mix is not None:
            feeds |= style_feed(model, path, mix)
            style = torch.from_numpy(mix[None])
        with torch.no_grad():
            wanted = native(torch.from_numpy(frame), style).numpy()
        made = session.run([OUTPUT], feeds)[0]
        difference = np.abs(made.astype(np.int16) - wanted.astype(np.int16))
        largest, total = max(largest, int(difference.max())), total + float(difference.mean())
    if largest > LARGEST_DIFFERENCE:
        raise TrainingError(
            f"ONNX Runtime and torch differ by {largest} of 255 at {size}",
            "the exported graph does not do what was trained",
        )
    return Parity(largest, total / len(mixes))


def saved_quality(run: RunDirectory) -> dict[str, float]:
    """Return the figures of the pictures that the run's last evaluation measured, or none.

    What a frame took is left out: it tells of the machine, not of the model.
    """
    path = run.path / "evaluation.json"
    if not path.is_file():
        return {}
    figures: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["summary"]
    return {name: value for name, value in figures.items() if not name.startswith("ms_")}


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Hold back the exporter's own progress lines and its warnings about its own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [quieted.level for quieted in loggers]
    for quieted in loggers:
        quieted.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for quieted, level in zip(loggers, levels, strict=True):
            quieted.setLevel(level)
