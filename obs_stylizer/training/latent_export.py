"""Export of a generator that makes pictures from noise.

What its file must be stands in :mod:`~obs_stylizer.inference.latent_model`.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.inference.latent_model import (
    LATENT_INPUT,
    METADATA_KEY,
    PICTURE_OUTPUT,
    LatentSpec,
)
from obs_stylizer.training.export import LARGEST_DIFFERENCE, OPSET, Parity, quiet_exporter
from obs_stylizer.training.generators import LatentGenerator, build_latent_generator
from obs_stylizer.training.run_directory import RunDirectory

PARITY_PICTURES: Final = 8


class NativeLatentGenerator(nn.Module):
    """Gives pictures as uint8 (1, H, W, 3), RGB.

    Args:
        generator: it is copied, and its weights fixed.
    """

    def __init__(self, generator: LatentGenerator) -> None:
        super().__init__()
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)

    def forward(self, latent: Tensor) -> Tensor:
        """Make a picture of ``latent``, float32 (1, Z)."""
        made: Tensor = self.generator(latent)
        return (made * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1)


def trained_latent_generator(run: RunDirectory) -> NativeLatentGenerator:
    """Return the moving-average generator of the newest checkpoint of a ``generate`` run.

    Raises:
        TrainingError: there is no checkpoint that fits the recipe.
    """
    recipe = run.recipe
    generator = build_latent_generator(recipe.generator, recipe.data.crop)
    state = run.load_checkpoint(torch.device("cpu"))["average"]
    generator.load_state_dict({key.removeprefix("maker."): value for key, value in state.items()})
    return NativeLatentGenerator(generator)


def export_latent_run(
    run: RunDirectory, output: Path, quality: dict[str, float] | None = None
) -> Parity:
    """Write the generator of ``run`` to ``output`` and its recipe beside it.

    Nothing is written unless ONNX Runtime and torch agree.

    Args:
        run: of the objective ``generate``, with a checkpoint.
        output: ends in ``.onnx``.
        quality: measured figures to put into the file.

    Raises:
        TrainingError: the run has no checkpoint, or ONNX Runtime and torch disagree.
    """
    native = trained_latent_generator(run)
    recipe = run.recipe
    length = native.generator.latent
    with quiet_exporter():
        program = torch.onnx.export(
            native,
            (torch.zeros(1, length),),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[LATENT_INPUT],
            output_names=[PICTURE_OUTPUT],
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch exported no graph")
    model: onnx.ModelProto = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    description = LatentSpec(
        name=recipe.name,
        title=recipe.title,
        licence=recipe.licence,
        author=recipe.author,
        recipe_hash=recipe.digest,
        training_data=recipe.training_data,
        latent=length,
        size=native.generator.size,
        quality=quality or {},
    )
    model.metadata_props.add(key=METADATA_KEY, value=description.model_dump_json())
    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "exported.onnx"
        onnx.save(model, part)
        parity = check_latent_parity(native, part)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, output)
    shutil.copyfile(run.path / "recipe.yaml", output.with_suffix(".yaml"))
    return parity


def check_latent_parity(native: NativeLatentGenerator, path: Path) -> Parity:
    """Compare the file at ``path`` in ONNX Runtime with torch on some noise.

    Raises:
        TrainingError: a pixel differs by more than two levels.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random, largest, total = np.random.default_rng(0), 0, 0.0
    for _ in range(PARITY_PICTURES):
        latent = random.standard_normal((1, native.generator.latent), np.float32)
        with torch.no_grad():
            wanted = native(torch.from_numpy(latent)).numpy()
        made = session.run([PICTURE_OUTPUT], {LATENT_INPUT: latent})[0]
        difference = np.abs(made.astype(np.int16) - wanted.astype(np.int16))
        largest, total = max(largest, int(difference.max())), total + float(difference.mean())
    if largest > LARGEST_DIFFERENCE:
        raise TrainingError(
            f"ONNX Runtime and torch differ by {largest} of 255",
            "the exported graph does not do what was trained",
        )
    return Parity(largest, total / PARITY_PICTURES)
