"""SqueezeNet: features for perceptual losses at about a tenth of the cost of VGG-19."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from obs_stylizer.errors import TrainingError
from obs_stylizer.training.features import FeatureNetwork, read_arrays

# Mean of ImageNet as this network was trained with it: blue, green, red, 0 to 255.
_MEAN_BGR: Final = (104.0, 117.0, 123.0)
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
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1), persistent=False)

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
