"""The direction of edges, and smoothing along and across it.

Kyprianidis and Kang 2011, "Image and Video Abstraction by Coherence-Enhancing Filtering": the
structure tensor, smoothed, says at each place which way edges run and how much they agree.
"""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.training.filters.planes import Plane, blur


def edge_flow(picture: Plane, smoothing: float) -> tuple[Plane, Plane]:
    """Return the unit vectors along edges, (H, W, 2) as x and y, and their agreement, (H, W).

    Args:
        picture: (H, W) or (H, W, 3), 0 to 1.
        smoothing: standard deviation of the tensor's smoothing, in pixels.

    Returns:
        Directions, and anisotropy from 0 (every direction) to 1 (one).
    """
    planes = picture if picture.ndim == 3 else picture[..., None]
    across = np.asarray(cv2.Scharr(planes, cv2.CV_32F, 1, 0), np.float32).reshape(planes.shape)
    down = np.asarray(cv2.Scharr(planes, cv2.CV_32F, 0, 1), np.float32).reshape(planes.shape)
    tensor = np.stack(
        [(across * across).sum(2), (across * down).sum(2), (down * down).sum(2)], axis=2
    )
    xx, xy, yy = np.moveaxis(blur(tensor.astype(np.float32), smoothing), 2, 0)
    root = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    largest = (xx + yy + root) / 2
    # The eigenvector of the smaller eigenvalue runs along the edge.
    along = np.stack([largest - xx, -xy], axis=2)
    length = np.linalg.norm(along, axis=2, keepdims=True)
    upright = np.zeros_like(along)
    upright[..., 0] = (xx > yy) * 0.0 + (xx <= yy) * 1.0
    upright[..., 1] = 1.0 - upright[..., 0]
    along = np.where(length > 1e-6, along / np.maximum(length, 1e-6), upright)
    return np.asarray(along, np.float32), np.asarray(root / (xx + yy + 1e-8), np.float32)


def smooth_along(plane: Plane, flow: Plane, sigma: float) -> Plane:
    """Return ``plane`` averaged along the flow, with Gaussian weights of ``sigma`` pixels."""
    rows, columns = (np.asarray(n, np.float32) for n in np.indices(plane.shape[:2]))
    total, weights = plane.copy(), 1.0
    for sign in (1.0, -1.0):
        x: Plane = columns
        y: Plane = rows
        direction: Plane = np.asarray(flow * sign, np.float32)
        for step in range(1, max(1, round(2 * sigma)) + 1):
            x = np.asarray(x + direction[..., 0], np.float32)
            y = np.asarray(y + direction[..., 1], np.float32)
            weight = float(np.exp(-(step**2) / (2 * sigma**2)))
            total = total + weight * _at(plane, x, y)
            weights += weight
            following = _at(flow, x, y)
            # A direction has no sign of its own: go on the way that was come.
            backward = (following * direction).sum(2, keepdims=True) < 0
            direction = np.asarray(np.where(backward, -following, following), np.float32)
    return np.asarray(total / weights, np.float32)


def flow_lines(
    brightness: Plane, flow: Plane, sigma: float, keep: float, steepness: float, along: float
) -> Plane:
    """Return 1 on plain ground and 0 on dark lines (flow-based DoG, Kang et al. 2007).

    Args:
        brightness: (H, W), 0 to 1.
        flow: from :func:`edge_flow`.
        sigma: width of the lines, in pixels.
        keep: share of the outer Gaussian that is taken away; nearer 1 draws fainter edges.
        steepness: of the step from paper to line.
        along: pixels that a line is smoothed over along itself.
    """
    rows, columns = np.indices(brightness.shape, np.float32)
    across = np.stack([-flow[..., 1], flow[..., 0]], axis=2)
    inner = outer = np.zeros_like(brightness)
    inner_weights = outer_weights = 0.0
    reach = max(1, round(2 * 1.6 * sigma))
    for step in range(-reach, reach + 1):
        seen = _at(brightness, columns + step * across[..., 0], rows + step * across[..., 1])
        one = float(np.exp(-(step**2) / (2 * sigma**2)))
        other = float(np.exp(-(step**2) / (2 * (1.6 * sigma) ** 2)))
        inner, outer = inner + one * seen, outer + other * seen
        inner_weights, outer_weights = inner_weights + one, outer_weights + other
    difference = inner / inner_weights - keep * outer / outer_weights
    response = smooth_along(np.asarray(difference, np.float32), flow, along)
    drawn = np.where(response > 0, 1.0, 1.0 + np.tanh(steepness * response))
    return np.asarray(drawn, np.float32)


def _at(plane: Plane, x: Plane, y: Plane) -> Plane:
    return np.asarray(
        cv2.remap(
            plane,
            np.asarray(x, np.float32),
            np.asarray(y, np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )
