"""Brush on canvas and on wet paper: oil and watercolour."""

from __future__ import annotations

import cv2
import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.training.filters.flow_field import edge_flow
from obs_stylizer.training.filters.planes import Plane, blur, flatten, to_bytes, unit

_SECTORS = 8


def oil(picture: Pixels) -> Pixels:
    """Return broad strokes that follow shapes, lit from the upper left as thick paint is.

    Three anisotropic Kuwahara filters, the broadest first; each border between two strokes is a
    ridge of paint.
    """
    painted = blur(unit(picture), 0.8)
    for radius in (12.0, 8.0, 5.0):
        painted = anisotropic_kuwahara(painted, radius)
    lab = cv2.cvtColor(np.clip(painted, 0, 1), cv2.COLOR_RGB2LAB)
    lab[..., 0] = np.clip((lab[..., 0] - 50) * 1.1 + 51, 0, 100)
    lab[..., 1:] *= 1.35
    strong = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    height = np.asarray(strong.mean(axis=2), np.float32)
    ridges = height - blur(height, 2.0)
    lit = blur(ridges, 0.6) - blur(np.roll(ridges, (2, 2), (0, 1)), 0.6)
    return to_bytes(strong + 1.6 * np.clip(lit, -0.08, 0.08)[..., None])


def watercolour(picture: Pixels) -> Pixels:
    """Return thin pigment on white paper, pooled darker along the borders of each wash.

    After Bousseau et al. 2006, "Interactive watercolor rendering": flat washes, lights that are
    left to the paper, and pigment that flows to the borders of a wash while it dries. What the
    paper itself adds is not drawn: it stands still while a picture moves, and no generator that
    sees the picture alone can know its place.
    """
    washes = unit(flatten(picture, times=3, colours=36, reach=5))
    for radius in (9.0, 5.0):
        washes = anisotropic_kuwahara(washes, radius)
    hsv = cv2.cvtColor(np.clip(washes, 0, 1), cv2.COLOR_RGB2HSV)
    hsv[..., 1] = np.clip(1.2 * hsv[..., 1], 0, 1)
    hsv[..., 2] = 1 - 0.80 * (1 - hsv[..., 2]) ** 1.25
    thin = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32)
    inner = np.asarray(thin.mean(axis=2), np.float32)
    # Dark sides of borders hold the pigment that the water carried there.
    pooled = np.clip(6 * (blur(inner, 2.5) - blur(inner, 0.8)), 0, 0.9)
    bled = np.clip(3 * (blur(inner, 9.0) - blur(inner, 2.5)), -0.25, 0.35)
    density = 1 + pooled + bled
    # A density d of the same pigment turns a colour c into c - (c - c²)(d - 1).
    painted = thin - (thin - thin**2) * (density[..., None] - 1)
    return to_bytes(np.clip(painted, 0, 1))


def anisotropic_kuwahara(picture: Plane, radius: float) -> Plane:
    """Return the picture in brush strokes that lie along its edges.

    Kyprianidis et al. 2009, "Image and Video Abstraction by Anisotropic Kuwahara Filtering":
    around each place an ellipse along the edges is cut into eight sectors, and the calmest
    sectors give the colour.

    Args:
        picture: (H, W, 3), 0 to 1.
        radius: of the ellipse where edges have no direction, in pixels.
    """
    flow, agreement = edge_flow(picture, 2.0 + radius / 4)
    stretch = 1 + agreement
    long, short = radius * stretch, radius / stretch
    rows, columns = np.indices(picture.shape[:2], np.float32)
    squares = picture * picture
    shape = (*picture.shape[:2], 1)
    sums = [np.zeros(picture.shape, np.float32) for _ in range(_SECTORS)]
    square_sums = [np.zeros(picture.shape, np.float32) for _ in range(_SECTORS)]
    totals = [np.full(shape, 1e-6, np.float32) for _ in range(_SECTORS)]
    for distance in (0.0, 0.35, 0.7, 1.0):
        for sector in range(_SECTORS if distance else 1):
            for offset in (-0.25, 0.25) if distance > 0.5 else (0.0,):
                angle = 2 * np.pi * (sector + offset) / _SECTORS
                along = distance * np.cos(angle) * long
                across = distance * np.sin(angle) * short
                x = np.asarray(columns + along * flow[..., 0] - across * flow[..., 1], np.float32)
                y = np.asarray(rows + along * flow[..., 1] + across * flow[..., 0], np.float32)
                seen, seen_squares = (
                    np.asarray(
                        cv2.remap(p, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
                        np.float32,
                    )
                    for p in (picture, squares)
                )
                weight = float(np.exp(-2 * distance**2))
                for number in range(_SECTORS) if not distance else (sector,):
                    sums[number] += weight * seen
                    square_sums[number] += weight * seen_squares
                    totals[number] += weight
    painted = np.zeros(picture.shape, np.float32)
    weights = np.zeros(shape, np.float32)
    for summed, squared, total in zip(sums, square_sums, totals, strict=True):
        mean = summed / total
        unrest = np.sqrt(np.maximum(squared / total - mean**2, 0).sum(2, keepdims=True))
        weight = 1 / (1 + (255 * unrest / 4) ** 8)
        painted += weight * mean
        weights += weight
    return np.asarray(painted / np.maximum(weights, 1e-12), np.float32)
