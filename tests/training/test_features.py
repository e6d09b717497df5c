"""Feature networks, against the same sums written out, and the fetching of published weights."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.features import SqueezeNet, Vgg19, load_features
from obs_stylizer.training.published_features import PLACES, convert, fetch_vgg19
from obs_stylizer.training.run_directory import RunDirectory
from obs_stylizer.training.trainer import Trainer

from .conftest import RecipeWriter

pytestmark = pytest.mark.training


def squeezenet_weights(path: Path) -> Path:
    """Write a SqueezeNet of two fire modules with few channels."""
    random = np.random.default_rng(0)
    shapes = {"conv1": (6, 3, 7, 7)}
    for name, inputs in (("fire2", 6), ("fire3", 8)):
        shapes |= {
            f"{name}.squeeze": (3, inputs, 1, 1),
            f"{name}.expand1x1": (4, 3, 1, 1),
            f"{name}.expand3x3": (4, 3, 3, 3),
        }
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = random.normal(0, 0.1, shape)
        arrays[f"{name}.bias"] = random.normal(0, 0.1, shape[0])
    np.savez(path, **arrays)
    return path


def test_squeezenet_by_hand(tmp_path: Path) -> None:
    path = squeezenet_weights(tmp_path / "squeeze.npz")
    network = load_features(path)
    assert isinstance(network, SqueezeNet)
    pictures = torch.rand(2, 3, 64, 48)
    found = network(pictures, {"conv1", "fire3"})
    assert list(found) == ["conv1", "fire3"]

    with np.load(path) as arrays:
        w = {key: torch.from_numpy(arrays[key]).float() for key in arrays}
    mean = torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
    blue_first = pictures[:, [2, 1, 0]] * 255 - mean
    first = F.relu(F.conv2d(blue_first, w["conv1.weight"], w["conv1.bias"], 2))
    assert torch.allclose(found["conv1"], first, atol=1e-4)
    features = F.max_pool2d(first, 3, 2, ceil_mode=True)
    for fire in ("fire2", "fire3"):
        small = F.relu(F.conv2d(features, w[f"{fire}.squeeze.weight"], w[f"{fire}.squeeze.bias"]))
        near = F.conv2d(small, w[f"{fire}.expand1x1.weight"], w[f"{fire}.expand1x1.bias"])
        far = F.conv2d(small, w[f"{fire}.expand3x3.weight"], w[f"{fire}.expand3x3.bias"], 1, 1)
        features = F.relu(torch.cat([near, far], 1))
    assert torch.allclose(found["fire3"], features, atol=1e-4)
    with pytest.raises(TrainingError, match=r"no layer conv3_1.*fire2"):
        network(pictures, {"conv3_1"})


def test_a_painting_may_be_trained_with_squeezenet(recipe_of: RecipeWriter, tmp_path: Path) -> None:
    weights = squeezenet_weights(tmp_path / "squeeze.npz")
    recipe = recipe_of(("{conv1_1: 1, conv2_1: 1}", "{conv1: 1, fire2: 1}"), ("conv2_2", "fire3"))
    (tmp_path / "features.npz").unlink()
    run = RunDirectory.create(tmp_path / "run", recipe)
    trainer = Trainer(run, torch.device("cpu"), features=weights)
    assert trainer.train(until=1).step == 1


def test_without_features_the_message_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.npz are missing .*fetch-features"):
        load_features(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(TrainingError, match="holds no convolutions of VGG-19"):
        load_features(tmp_path / "other.npz")


def published() -> dict[str, torch.Tensor]:
    """The state of a network like torchvision's VGG-19, of few channels."""
    random, state, inputs = torch.Generator().manual_seed(0), {}, 3
    for place in PLACES.values():
        state[f"features.{place}.weight"] = torch.randn(4, inputs, 3, 3, generator=random) / 4
        state[f"features.{place}.bias"] = torch.randn(4, generator=random)
        inputs = 4
    return state


def test_converted_weights_see_what_the_published_ones_see() -> None:
    state = published()
    weights = {
        name: tuple(
            torch.from_numpy(convert(state)[f"{name}.{kind}"]).float()
            for kind in ("weight", "bias")
        )
        for name in PLACES
    }
    picture = torch.rand(1, 3, 32, 32)
    found = Vgg19({name: (pair[0], pair[1]) for name, pair in weights.items()})(
        picture, {"conv1_1", "conv3_1"}
    )
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    features = (picture - mean) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    for name, place in PLACES.items():
        if name in ("conv2_1", "conv3_1"):
            features = F.max_pool2d(features, 2)
        weight, bias = (state[f"features.{place}.{kind}"] for kind in ("weight", "bias"))
        features = F.relu(F.conv2d(features, weight, bias, padding=1))
        if name in found:
            # Half precision and the border's padding are what is left.
            inner = (..., slice(3, -3), slice(3, -3)) if name == "conv1_1" else (...,)
            scale = float(features.abs().max())
            assert float((found[name] - features)[inner].abs().max()) < 0.01 * scale
        if name == "conv3_1":
            break


def test_fetching_checks_the_hash_and_keeps_what_is_needed(tmp_path: Path) -> None:
    source, output = tmp_path / "vgg.pth", tmp_path / "kept" / "vgg19.npz"
    torch.save(published(), source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    fetch_vgg19(output, source.as_uri(), digest[:8])
    assert Vgg19.load(output).names == tuple(PLACES)
    assert [path.name for path in output.parent.iterdir()] == ["vgg19.npz"]

    with pytest.raises(TrainingError, match="is not the published file"):
        fetch_vgg19(tmp_path / "b.npz", source.as_uri(), "0" * 8)
    with pytest.raises(TrainingError, match="cannot be fetched"):
        fetch_vgg19(tmp_path / "c.npz", (tmp_path / "no.pth").as_uri(), digest[:8])
    torch.save({"a": torch.zeros(1)}, source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(TrainingError, match=r"holds no VGG-19 of torchvision"):
        fetch_vgg19(tmp_path / "d.npz", source.as_uri(), digest[:8])
    assert not list(tmp_path.glob("?.npz*"))


@pytest.mark.skipif("STYLIZER_DATA" not in os.environ, reason="STYLIZER_DATA is not set")
def test_the_whole_squeezenet_has_all_its_fire_modules() -> None:
    path = Path(os.environ["STYLIZER_DATA"]) / "features" / "squeezenet1_0.npz"
    network = load_features(path)
    found = network(torch.rand(1, 3, 96, 96), {"fire9"})
    assert network.names == ("conv1", *(f"fire{number}" for number in range(2, 10)))
    assert found["fire9"].shape[1] == 512
