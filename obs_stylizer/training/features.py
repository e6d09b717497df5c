"""Feature networks for perceptual losses, read from a file of weights."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError

# Mean of ImageNet in the order the network was trained with: blue, green, red, 0 to 255.
_MEAN_BGR = (103.939, 116.779, 123.68)


class Vgg19(nn.Module):
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
        try:
            with np.load(path) as arrays:
                found = sorted(
                    match[1]
                    for match in (re.fullmatch(r"(conv\d_\d)\.weight", key) for key in arrays)
                    if match
                )
                weights = {
                    name: (
                        torch.from_numpy(arrays[f"{name}.weight"].astype(np.float32)),
                        torch.from_numpy(arrays[f"{name}.bias"].astype(np.float32)),
                    )
                    for name in found
                }
        except FileNotFoundError:
            raise TrainingError(
                f"the features {path} are missing",
                "a painting recipe needs VGG-19's convolutions; name the file in painting.features",
            ) from None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as cause:
            raise TrainingError(f"the features {path} are broken: {cause}") from cause
        if not weights or weights[found[0]][0].shape[1] != 3:
            raise TrainingError(f"{path} holds no convolutions of VGG-19")
        return cls(weights)

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Return the activations (after ReLU) of the named convolutions.

        Args:
            pictures: float (B, 3, H, W), RGB, 0 to 1.
            layers: names such as ``conv3_1``.

        Returns:
            (B, C, h, w) by name, in the network's order.

        Raises:
            TrainingError: a name is not among the weights.
        """
        unknown = sorted(set(layers) - set(self.names))
        if unknown:
            raise TrainingError(
                f"the features have no layer {unknown[0]}", f"they have {', '.join(self.names)}"
            )
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
