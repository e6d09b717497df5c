"""Temporal consistency: what moved must look the same after it moved."""

from __future__ import annotations

from torch import Tensor

from obs_stylizer.training.augment import Motion


def motion_consistency(made: Tensor, made_of_moved: Tensor, motion: Motion) -> Tensor:
    """Return the mean absolute difference between the moved output and the output of the moved.

    Args:
        made: the generator's output for a frame, (B, 3, H, W), 0 to 1.
        made_of_moved: its output for the same frame under ``motion``, the same shape.
        motion: how the frame was moved.

    Returns:
        A scalar: mean over the pixels that both see, 0 where they see none, and over samples.
    """
    mask = motion.valid(made)
    difference = (motion.warp(made.float()) - made_of_moved.float()).abs() * mask
    seen = mask.flatten(1).sum(1) * made.shape[1]
    return (difference.flatten(1).sum(1) / seen.clamp_min(1.0)).mean()
