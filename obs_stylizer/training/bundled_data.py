"""What learning brings along, with nothing to fetch or to find: features and photographs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import torch

from obs_stylizer.frames import Pixels
from obs_stylizer.training.features import Vgg19
from obs_stylizer.training.pictures import find_pictures, read_picture

_FOLDER: Final = Path(__file__).parent / "bundled"
FEATURES: Final = _FOLDER / "vgg16_to_conv4_1_int8.npz"
PHOTOGRAPHS: Final = _FOLDER / "photographs"


@cache
def bundled_photographs() -> tuple[Pixels, ...]:
    """Return the photographs that the package brings, uint8 (H, W, 3)."""
    return tuple(read_picture(path) for path in find_pictures(PHOTOGRAPHS))


@cache
def bundled_features() -> Vgg19:
    """Return the VGG-16 up to conv4_1 that the package brings."""
    features = Vgg19.load(FEATURES)
    for name in features.names:
        weight = getattr(features, f"{name}_weight")
        setattr(features, f"{name}_weight", weight.contiguous(memory_format=torch.channels_last))
    return features
