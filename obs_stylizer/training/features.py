"""Feature networks for perceptual losses, read from a file of weights."""

from __future__ import annotations

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError

# Mean of ImageNet in the order the network was trained with: blue, green, red, 0 to 255.
_MEAN_BGR = (103.939, 116.779, 123.68)


class FeatureNetwork(ABC, nn.Module):
    """A network of fixed weights whose activations say what a picture shows.

    Attributes:
        names: its layers, in the order they run.
    """

    names: tuple[str, ...]

    @abstractmethod
    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the activations (after ReLU) of the named layers.

        Args:
            pictures: float (B, 3, H, W), RGB, 0 to 1.
            layers: names of layers.

        Returns:
            (B, C, h, w) by name, in the network's order.

        Raises:
            TrainingError: the network has no layer of a name.
        """

    def check_names(self, layers: Collection[str]) -> None:
        """Refuse names of layers that are not there.

        Raises:
            TrainingError: naming the first of them.
        """
        unknown = sorted(set(layers) - set(self.names))
        if unknown:
            raise TrainingError(
                f"the features have no layer {unknown[0]}", f"they have {', '.join(self.names)}"
            )


class Vgg19(FeatureNetwork):
    """The lower convolutions of VGG-19 (Simonyan and Zisserman 2014), with fixed weights.

    Args:
        weights: array of shape (out, in, 3, 3) and bias of each convolution, in the order they
            run; the names (``conv1_1`` …) say after which of them a pooling stands.
    """

    def __init__(self, weights: dict[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.names = tuple(weights)
        for name, (weight, bias) in weights.items():
            self.register_buffer(f"{name}_weight", weight, persistent=False)
            self.register_buffer(f"{name}_bias", bias, persistent=False)
        self.mean: Tensor
        mean = torch.tensor(_MEAN_BGR).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)

    @classmethod
    def load(cls, path: Path) -> Vgg19:
        """Read the weights from an ``.npz`` with the keys ``convB_N.weight`` and ``.bias``.

        Raises:
            TrainingError: the file is missing, broken, or holds no VGG.
        """
        arrays = read_arrays(path)
        names = sorted(
            match[1]
            for match in (re.fullmatch(r"(conv\d_\d)\.weight", key) for key in arrays)
            if match and f"{match[1]}.bias" in arrays
        )
        weights = {name: (arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names}
        if not weights or weights[names[0]][0].shape[1] != 3:
            raise TrainingError(f"{path} holds no convolutions of VGG-19")
        return cls(weights)

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the activations of convolutions such as ``conv3_1``; see the base class."""
        self.check_names(layers)
        features = pictures.flip(1) * 255.0 - self.mean
        features = features.contiguous(memory_format=torch.channels_last)
        result: dict[str, Tensor] = {}
        block = self.names[0][:5]
        for name in self.names:
            if name[:5] != block:
                features = F.max_pool2d(features, 2)
                block = name[:5]
            weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
            features = F.relu(F.conv2d(features, weight, bias, padding=1))
            if name in layers:
                result[name] = features
            if len(result) == len(layers):
                break
        return result


def load_features(path: Path) -> FeatureNetwork:
    """Return the feature network whose weights the ``.npz`` at ``path`` holds.

    Raises:
        TrainingError: the file is missing, broken, or of a network that is not known.
    """
    if "fire2.squeeze.weight" in read_arrays(path):
        from obs_stylizer.training.squeezenet import SqueezeNet

        return SqueezeNet.load(path)
    return Vgg19.load(path)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Return the arrays of an ``.npz`` as float32 tensors.

    Raises:
        TrainingError: the file is missing or broken.
    """
    try:
        with np.load(path) as arrays:
            return {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays}
    except FileNotFoundError:
        raise TrainingError(
            f"the features {path} are missing",
            "perceptual losses need VGG-19 or SqueezeNet: name a file of weights in "
            "painting.features or with --features, or fetch VGG-19 with: "
            "obs-stylizer fetch-features",
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as cause:
        raise TrainingError(f"the features {path} are broken: {cause}") from cause
