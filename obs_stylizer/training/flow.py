"""Optical flow of real clips, and how steady an output is along it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels

Flow = NDArray[np.float32]
CONSISTENT_WITHIN = 1.0


def optical_flow(first: Pixels, second: Pixels) -> Flow:
    """Return where each pixel of ``first`` went in ``second``: float32 (H, W, 2), x and y."""
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    flow: Flow = estimator.calc(grey[0], grey[1], None)
    return flow


def follow(picture: NDArray[np.float32], flow: Flow) -> NDArray[np.float32]:
    """Return what ``picture`` shows at the places that ``flow`` points to, bilinearly."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    warped: NDArray[np.float32] = cv2.remap(
        picture,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return warped


def consistent(back: Flow, forth: Flow) -> NDArray[np.bool_]:
    """Return where following ``back`` and then ``forth`` leads home: bool (H, W).

    Elsewhere something was hidden or came into view, and no comparison is fair.
    """
    height, width = back.shape[:2]
    home = back + follow(forth, back)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x, y = columns + back[..., 0], rows + back[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.asarray((np.square(home).sum(-1) < CONSISTENT_WITHIN**2) & inside)


def warp_error(source: Sequence[Pixels], made: Sequence[Pixels]) -> tuple[float, float]:
    """Return the mean |y_t - warp(y_{t-1})| of ``made`` and of ``source``, 0 to 1.

    Args:
        source: consecutive frames, uint8 (H, W, 3), which the flow is taken from.
        made: what a generator made of each, the same shape.
    """
    errors: list[tuple[float, float]] = []
    for before, now in zip(range(len(source) - 1), range(1, len(source)), strict=True):
        back = optical_flow(source[now], source[before])
        forth = optical_flow(source[before], source[now])
        seen = consistent(back, forth)
        if not seen.any():
            continue
        errors.append(
            (
                _difference(made[before], made[now], back, seen),
                _difference(source[before], source[now], back, seen),
            )
        )
    if not errors:
        return 0.0, 0.0
    mean = np.mean(errors, axis=0)
    return float(mean[0]), float(mean[1])


def _difference(before: Pixels, now: Pixels, back: Flow, seen: NDArray[np.bool_]) -> float:
    moved = follow(before.astype(np.float32), back)
    return float(np.abs(moved - now)[seen].mean() / 255)
