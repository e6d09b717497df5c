"""Feature networks for perceptual losses, read from a file of weights."""

from __future__ import annotations

import re
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError

# Mean of ImageNet in the order the network was trained with: blue, green, red, 0 to 255.
_VGG19_MEAN_BGR = (103.939, 116.779, 123.68)


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
        mean = torch.tensor(_VGG19_MEAN_BGR).view(1, 3, 1, 1)
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
        return SqueezeNet.load(path)
    return Vgg19.load(path)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Return the arrays of an ``.npz`` as float32 tensors.

    Weights in 8 bits stand beside a ``.scale`` for each output channel.

    Raises:
        TrainingError: the file is missing or broken.
    """
    try:
        with np.load(path) as arrays:
            read = {key: torch.from_numpy(arrays[key].astype(np.float32)) for key in arrays}
    except FileNotFoundError:
        raise TrainingError(
            f"the features {path} are missing",
            "perceptual losses need VGG-19 or SqueezeNet: name a file of weights in "
            "painting.features or with --features, or fetch VGG-19 with: "
            "obs-stylizer fetch-features",
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as cause:
        raise TrainingError(f"the features {path} are broken: {cause}") from cause
    for key in [key for key in read if key.endswith(".scale")]:
        weight = f"{key.removesuffix('.scale')}.weight"
        read[weight] = read[weight] * read.pop(key).view(-1, 1, 1, 1)
    return read


# Mean of ImageNet as this network was trained with it: blue, green, red, 0 to 255.
_SQUEEZENET_MEAN_BGR: Final = (104.0, 117.0, 123.0)
_FIRES: Final = tuple(f"fire{number}" for number in range(2, 10))
_POOLED_AFTER: Final = ("conv1", "fire4", "fire8")
_PARTS: Final = ("squeeze", "expand1x1", "expand3x3")


class SqueezeNet(FeatureNetwork):
    """SqueezeNet 1.0 up to its last fire module (Iandola et al. 2016), with fixed weights.

    Args:
        weights: by key: ``conv1.weight``, ``conv1.bias``, ``fire2.squeeze.weight`` and so on.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.names = ("conv1", *(name for name in _FIRES if f"{name}.squeeze.weight" in weights))
        for key, value in weights.items():
            self.register_buffer(key.replace(".", "_"), value, persistent=False)
        self.mean: Tensor
        self.register_buffer(
            "mean", torch.tensor(_SQUEEZENET_MEAN_BGR).view(1, 3, 1, 1), persistent=False
        )

    @classmethod
    def load(cls, path: Path) -> SqueezeNet:
        """Read the weights from an ``.npz``.

        Raises:
            TrainingError: the file is missing, broken, or holds no SqueezeNet.
        """
        arrays = read_arrays(path)
        names = ["conv1", *(f"{fire}.{part}" for fire in _FIRES for part in _PARTS)]
        keys = [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
        found = {key: arrays[key] for key in keys if key in arrays}
        if not {"conv1.weight", "fire2.squeeze.weight"} <= found.keys():
            raise TrainingError(f"{path} holds no fire modules of SqueezeNet")
        return cls(found)

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the activations of ``conv1`` and of fire modules; see the base class."""
        self.check_names(layers)
        features = pictures.flip(1) * 255.0 - self.mean
        result: dict[str, Tensor] = {}
        for name in self.names:
            if name == "conv1":
                features = self._convolve(features, name, stride=2)
            else:
                squeezed = self._convolve(features, f"{name}_squeeze")
                features = torch.cat(
                    [
                        self._convolve(squeezed, f"{name}_expand1x1"),
                        self._convolve(squeezed, f"{name}_expand3x3", padding=1),
                    ],
                    1,
                )
            if name in layers:
                result[name] = features
            if len(result) == len(layers):
                break
            if name in _POOLED_AFTER:
                features = F.max_pool2d(features, 3, 2, ceil_mode=True)
        return result

    def _convolve(self, features: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        return F.relu(F.conv2d(features, weight, bias, stride, padding))
