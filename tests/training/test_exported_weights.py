"""An exported generator is a starting point: its trained weights are read back from the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.model_spec import write_spec
from obs_stylizer.inference.style_rows import style_feed
from obs_stylizer.training.export import EXPORTED, check_parity, describe, give_rows, to_onnx
from obs_stylizer.training.exported_weights import keep_weights, read_spec, weights_of
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.recipe import GeneratorRecipe, load_recipe
from obs_stylizer.yaml_text import read_yaml

from .conftest import RecipeWriter

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("small_frames")]


def _is_trained(path: Path) -> bool:
    """Whether a file is of a picture-to-picture generator that a training made."""
    recipe = path.with_suffix(".yaml")
    values, _ = read_yaml(recipe.read_text("utf-8"), recipe)
    return values["objective"] in EXPORTED


BUNDLED = [
    path
    for path in sorted((Path(__file__).parents[2] / "onnx").glob("*.onnx"))
    if path.with_suffix(".yaml").is_file() and _is_trained(path)
]


@pytest.mark.parametrize(
    ("section", "styles"),
    [
        ({"kind": "fast", "channels": 8, "blocks": 1}, 2),
        ({"kind": "fast", "channels": 8, "blocks": 1, "contrast": 2}, 2),
        ({"kind": "lite", "channels": 8, "blocks": 1, "detail": True}, 3),
        ({"kind": "lite", "channels": 8, "blocks": 1, "normalise": False, "correction": True}, 0),
        ({"kind": "unet", "channels": 8, "depth": 2, "gather": 2}, 0),
    ],
)
def test_the_weights_read_back_paint_the_same_picture(
    tmp_path: Path, recipe_of: RecipeWriter, section: dict[str, object], styles: int
) -> None:
    recipe = GeneratorRecipe.model_validate(section)
    torch.manual_seed(1)
    trained = build_generator(recipe, styles)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    native = NativeGenerator(trained)
    model = to_onnx(native)
    write_spec(model, describe(load_recipe(recipe_of()), native.size_multiple, {}))
    path = tmp_path / "painted.onnx"
    keep_weights(model, native)
    frame = torch.rand(1, 3, 32, 48)
    mix = torch.full((1, styles), 1 / styles) if styles else None
    # Files that mix a fixed list of styles in the graph were exported before.
    for takes_rows in (False, True) if styles else (False,):
        if takes_rows:
            give_rows(model)
        onnx.save(model, path)

        other = build_generator(recipe, styles)
        other.load_state_dict(weights_of(path, other))
        with torch.no_grad():
            assert torch.allclose(trained(frame, mix), other(frame, mix), atol=2e-3)


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_every_bundled_generator_can_be_trained_further(path: Path) -> None:
    recipe = load_recipe(path.with_suffix(".yaml"))
    generator = build_generator(recipe.generator, len(read_spec(path).styles))
    generator.load_state_dict(weights_of(path, generator))
    if recipe.finish is None:
        picture = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
        check_parity(NativeGenerator(generator), path, [picture], FrameSize(64, 48))


def test_another_shape_is_refused_by_name(tmp_path: Path, recipe_of: RecipeWriter) -> None:
    small = build_generator(GeneratorRecipe(kind="fast", channels=8, blocks=1), 2)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    native = NativeGenerator(small)
    model = to_onnx(native)
    write_spec(model, describe(load_recipe(recipe_of()), native.size_multiple, {}))
    path = tmp_path / "painted.onnx"
    onnx.save(model, path)
    with pytest.raises(TrainingError, match=r"stem\.convolution\.weight"):
        weights_of(path, build_generator(GeneratorRecipe(kind="fast", channels=16, blocks=1), 2))
    with pytest.raises(TrainingError, match=r"has no weights blocks\.1"):
        weights_of(path, build_generator(GeneratorRecipe(kind="fast", channels=8, blocks=2), 2))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="there is no model"):
        read_spec(tmp_path / "missing.onnx")


def test_rows_are_kept_in_half_precision(tmp_path: Path, recipe_of: RecipeWriter) -> None:
    trained = build_generator(GeneratorRecipe(kind="lite", channels=8, blocks=1), 40)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    native = NativeGenerator(trained)
    model = to_onnx(native)
    before = model.ByteSize()
    rows = sum(p.numel() for name, p in trained.named_parameters() if ".norm." in name)
    give_rows(model)
    assert before - model.ByteSize() > 1.2 * rows
    onnx.checker.check_model(model)
    path = tmp_path / "halved.onnx"
    onnx.save(model, path)
    frame = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    mix = torch.zeros(1, 40)
    mix[0, 7], mix[0, 30] = 0.75, 0.25
    with torch.no_grad():
        wanted = native(frame, mix).numpy().astype(int)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = style_feed(model, path, mix[0].numpy())
    (made,) = session.run(None, {"frame": frame.numpy(), **feed})
    assert abs(made.astype(int) - wanted).max() <= 1
