"""Two pictures put together by a mask, and a background out of focus."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

Floats = NDArray[np.float32]

_LARGEST_SIGMA: Final = 0.045
"""Standard deviation of the strongest blur, as a share of the frame's width."""
_LEAST_SIGMA: Final = 0.002
_PASSES: Final = 3
"""Box filters after each other that together are nearly a Gaussian."""
_LARGE_SHARE: Final = 0.5
"""Of the frame: a person who takes more is not worth a copy of the rest."""
_SHADE: Final = 0.3
_TINT: Final = (30, 60, 160)


def compose(mask: Pixels, person: Pixels, background: Pixels, target: Pixels) -> None:
    """Write ``person`` where the mask is 255 and ``background`` where it is 0 into ``target``.

    Args:
        mask: uint8 (H, W).
        person: uint8 (H, W, 3).
        background: uint8 (H, W, 3).
        target: uint8 (H, W, 3); may be one of the two.
    """
    left, top, width, height = cv2.boundingRect(mask)
    if width * height > _LARGE_SHARE * mask.size:
        _mix(mask, person, background, target)
        return
    # Where nobody is there is nothing to be mixed.
    where = np.s_[top : top + height, left : left + width]
    alone = person[where].copy() if target is person else person[where]
    if target is not background:
        np.copyto(target, background)
    if width:
        _mix(mask[where], alone, target[where], target[where])


def _mix(mask: Pixels, person: Pixels, background: Pixels, target: Pixels) -> None:
    shares = cv2.merge([mask, mask, mask])
    behind = cv2.multiply(background, cv2.bitwise_not(shares), scale=1 / 255)
    front = cv2.multiply(person, shares, scale=1 / 255)
    np.copyto(target, cv2.add(front, behind))


def out_of_focus(frame: Pixels, strength: float, weights: Floats) -> Pixels:
    """Return ``frame`` blurred by what ``weights`` select, so that nothing else bleeds into it.

    Args:
        frame: uint8 (H, W, 3).
        strength: 0 hardly to 1 beyond recognition.
        weights: float32 of any size: 1 where the frame belongs to what is blurred, 0 where not.

    Returns:
        uint8 (H, W, 3).
    """
    height, width = frame.shape[:2]
    sigma = width * (_LEAST_SIGMA + (_LARGEST_SIGMA - _LEAST_SIGMA) * strength**1.5)
    # A blurred picture has nothing that a smaller one could not hold.
    factor = 4 if sigma >= 8 else 2
    small = (max(1, width // factor), max(1, height // factor))
    picture = frame
    if factor == 4 and width % 4 == 0 and height % 4 == 0:
        # Two halves are many times quicker than a quarter.
        half = (width // 2, height // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
    share = cv2.resize(weights, small, interpolation=cv2.INTER_LINEAR)
    # Far from all that is selected, where a person fills the frame, the frame itself is blurred.
    share = cv2.max(share, 1e-3)
    layers = cv2.multiply(picture, cv2.merge([share, share, share]), dtype=cv2.CV_32F)
    side = 2 * max(1, round(sigma / factor)) + 1
    for _ in range(_PASSES):
        layers = cv2.blur(layers, (side, side))
        share = cv2.blur(share, (side, side))
    spread = cv2.divide(layers, cv2.merge([share, share, share]))
    blurred = cv2.add(spread, (0, 0, 0, 0), dtype=cv2.CV_8U)
    return np.asarray(
        cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8
    )


def show_mask(mask: Pixels, frame: Pixels, target: Pixels) -> None:
    """Write the frame into ``target`` with everything but people dark and blue, to set up by."""
    dark = cv2.convertScaleAbs(frame, alpha=_SHADE)
    cv2.add(dark, np.full_like(dark, _TINT), dark)
    compose(mask, frame, dark, target)
