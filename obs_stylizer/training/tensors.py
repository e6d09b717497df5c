"""Frames as tensors, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from obs_stylizer.frames import Pixels


def to_tensor(pictures: Sequence[Pixels]) -> Tensor:
    """Return pictures of one size as float32 (B, 3, H, W), 0 to 1."""
    # Stacked before torch sees them: pictures as they are read cannot be written to.
    stacked = torch.from_numpy(np.stack(pictures))
    return stacked.movedim(-1, 1).float() / 255.0


def to_pixels(picture: Tensor) -> Pixels:
    """Return a float picture (3, H, W), 0 to 1, as uint8 (H, W, 3)."""
    scaled = picture.detach().float().clamp(0, 1) * 255.0 + 0.5
    pixels: Pixels = scaled.movedim(0, -1).to(torch.uint8).contiguous().cpu().numpy()
    return pixels
