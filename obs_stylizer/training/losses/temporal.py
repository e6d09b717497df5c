"""Temporal consistency: what moved must look the same after it moved."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from obs_stylizer.training.augment import BORDER, Motion


def motion_consistency(
    made: Tensor, made_of_moved: Tensor, motion: Motion, border: float = BORDER
) -> Tensor:
    """Return the mean absolute difference between the moved output and the output of the moved.

    Args:
        made: the generator's output for a frame, (B, 3, H, W), 0 to 1.
        made_of_moved: its output for the same frame under ``motion``, the same shape.
        motion: how the frame was moved.
        border: share of the half side that is left out at the borders, where the zero padding of
            the two pictures differs; 0 asks for pictures that do not show where their border is.

    Returns:
        A scalar: mean over the pixels that both see, 0 where they see none, and over samples.
    """
    return _difference(motion.warp(made.float()), made_of_moved.float(), motion.valid(made, border))


def clip_consistency(made_before: Tensor, made_now: Tensor, back: Tensor, seen: Tensor) -> Tensor:
    """Return the mean absolute difference of two frames' outputs along the optical flow.

    Args:
        made_before: the generator's output for a frame, (B, 3, H, W), 0 to 1.
        made_now: its output for the next frame, the same shape.
        back: where each pixel of the next frame was, (B, H, W, 2), x and y in pixels from it.
        seen: 1 where that is known, else 0, (B, 1, H, W).

    Returns:
        A scalar: mean over the pixels that both see, 0 where they see none, and over samples.
    """
    height, width = back.shape[1:3]
    rows = torch.arange(height, device=back.device, dtype=back.dtype).view(1, -1, 1)
    columns = torch.arange(width, device=back.device, dtype=back.dtype).view(1, 1, -1)
    # In the units of grid_sample: -1 and 1 are the outer edges of the first and last pixels.
    across = (2 * (columns + back[..., 0]) + 1) / width - 1
    down = (2 * (rows + back[..., 1]) + 1) / height - 1
    moved = F.grid_sample(
        made_before.float(),
        torch.stack([across, down], -1),
        padding_mode="border",
        align_corners=False,
    )
    return _difference(moved, made_now.float(), seen)


def _difference(one: Tensor, other: Tensor, seen: Tensor) -> Tensor:
    difference = (one - other).abs() * seen
    pixels = seen.flatten(1).sum(1) * one.shape[1]
    return (difference.flatten(1).sum(1) / pixels.clamp_min(1.0)).mean()
