"""Pictures from noise: whether all kinds of them are made, and the exported file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from obs_stylizer.cli.training import app
from obs_stylizer.errors import TrainingError
from obs_stylizer.inference.latent_model import METADATA_KEY, load_latent_model
from obs_stylizer.training.dry_run import dry_run
from obs_stylizer.training.latent_export import check_latent_parity, trained_latent_generator
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import LAYERS, write_features, write_picture

pytestmark = [pytest.mark.training, pytest.mark.usefixtures("small_frames")]

CPU = torch.device("cpu")
COLOURS = torch.tensor([[220, 30, 30], [30, 200, 60], [40, 60, 220], [230, 220, 60]]) / 255.0

RECIPE = """
name: tiny-colours
seed: 3
precision: f32
objective: generate
generate: {generate}
data: {{content: ["{folder}/content"], crop: 32, short_side: [32, 32], exposure: 0}}
generator: {{kind: dcgan, channels: 4, latent: 4}}
discriminator: {{kind: image, channels: [8, 16, 16], spectral_norm: no}}
adversarial: {{weight: {weight}, instance_noise: 0, learning_rate: 0.002, {adversarial}}}
schedule: {{steps: {steps}, batch: 16, warm_up: 0, clip_gradient: 0, moving_average: 0.9,
  learning_rate: 0.002, betas: [0.5, 0.9], decay: none, log_every: 10}}
"""
WGAN_GP = "loss: wasserstein, gradient_penalty: 10, steps: 2"
DCGAN = "loss: bce, r1: 2"


def start(
    folder: Path,
    adversarial: str,
    steps: int,
    name: str = "run",
    generate: str = "{}",
    weight: float = 1,
) -> Trainer:
    for number, colour in enumerate(COLOURS if not (folder / "content").exists() else ()):
        picture = np.empty((32, 32, 3), np.uint8)
        picture[:] = (colour * 255).numpy().astype(np.uint8)
        write_picture(folder / "content" / f"{number}.png", picture)
    recipe = folder / f"{name}.yaml"
    text = RECIPE.format(
        folder=folder, adversarial=adversarial, steps=steps, generate=generate, weight=weight
    )
    recipe.write_text(text, encoding="utf-8")
    return Trainer(RunDirectory.create(folder / name, recipe), CPU)


def colours_made(trainer: Trainer) -> tuple[int, float]:
    """How many of the colours are made, and the share of pictures that are one of them."""
    generator = trainer.objective.generators["maker"].eval()
    with torch.no_grad():
        made: Tensor = generator(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    nearest, colour = torch.cdist(made.mean((2, 3)), COLOURS).min(1)
    counts = torch.bincount(colour[nearest < 0.3], minlength=len(COLOURS))
    return int((counts >= 5).sum()), float((nearest < 0.3).float().mean())


@pytest.mark.slow
def test_wgan_gp_makes_every_colour_of_the_pictures(tmp_path: Path) -> None:
    trainer = start(tmp_path, WGAN_GP, 400)
    assert colours_made(trainer) == (0, 0.0)
    trainer.objective.generators.train()
    assert trainer.train().finished
    colours, share = colours_made(trainer)
    assert colours == len(COLOURS)
    assert share > 0.5


def test_dcgan_makes_pictures_of_a_colour(tmp_path: Path) -> None:
    trainer = start(tmp_path, DCGAN, 150)
    assert colours_made(trainer) == (0, 0.0)
    trainer.objective.generators.train()
    assert trainer.train().finished
    assert colours_made(trainer)[1] > 0.8


def test_planned_resumed_and_exported(tmp_path: Path) -> None:
    adversarial = f"{WGAN_GP}, pool: 8"
    assert "4 pictures to train on" in dry_run(start(tmp_path, adversarial, 4, "plan"))[0]
    start(tmp_path, adversarial, 4, "whole").train()
    start(tmp_path, adversarial, 4, "parts").train(until=2)
    again = Trainer(RunDirectory.open(tmp_path / "parts"), CPU)
    again.resume()
    assert again.train().finished
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "latest.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for network in ("generators", "discriminators", "average"):
        assert all(torch.equal(one[network][key], two[network][key]) for key in one[network])

    run, path = RunDirectory.open(tmp_path / "whole"), tmp_path / "models" / "colours.onnx"
    result = CliRunner().invoke(app, ["export", str(run.path), "--output", str(path)])
    assert result.exit_code == 0, result.output
    assert "within" in result.output
    assert sorted(found.name for found in path.parent.iterdir()) == ["colours.onnx", "colours.yaml"]
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    (note,) = (prop.value for prop in model.metadata_props if prop.key == METADATA_KEY)
    description = json.loads(note)
    assert (description["latent"], description["size"]) == (4, 32)
    assert description["recipe_hash"] == run.recipe.digest
    assert load_latent_model(path).spec.model_dump() == description
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    made = session.run(["picture"], {"latent": np.zeros((1, 4), np.float32)})[0]
    assert (made.shape, made.dtype) == ((1, 32, 32, 3), np.uint8)

    native = trained_latent_generator(run)
    with torch.no_grad():
        native.generator.last.bias.add_(1)
    with pytest.raises(TrainingError, match="differ by"):
        check_latent_parity(native, path)


def test_textures_are_learnt_from_their_features(tmp_path: Path) -> None:
    features = write_features(tmp_path / "features.npz", LAYERS)
    waves = np.sin(np.arange(32) / 2)[:, None, None] * np.ones((1, 32, 1)) * (90, -60, 120) + 128
    write_picture(tmp_path / "content" / "waves.png", waves.astype(np.uint8))
    layers = "style_layers: {conv1_1: 1, conv2_1: 1}"
    textures = f'{{style: 1, {layers}, style_features: "{features}"}}'
    trainer = start(tmp_path, DCGAN, 100, generate=textures, weight=1e-6)
    batch = trainer.objective.make_batch(0, range(16))
    before = trainer.objective.generator_turn(batch).metrics
    trainer.train()
    after = trainer.objective.generator_turn(batch).metrics
    assert float(after["loss"]) == pytest.approx(float(after["style"]), abs=1e-4)
    assert float(after["style"]) < float(before["style"]) / 4
