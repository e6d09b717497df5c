"""A smooth walk without end through the noise that a generator makes pictures of."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Latent = NDArray[np.float32]

_NEIGHBOURS: Final = 4


class LatentWalk:
    """Leads past one random point after another, the same ones for every run of one seed.

    Each place is a spherical mixture of the four points around it: the squares of their weights
    are a cubic B-spline, which sums to 1. So every place is as likely as a point drawn at random
    (a plain mean would be too near the middle, where pictures are grey), and neither the walk
    nor its direction ever jumps.

    Args:
        length: Z of the noise vectors.
        seed: which walk, 0 or more.
    """

    def __init__(self, length: int, seed: int) -> None:
        self._length = length
        self._seed = seed
        self._points: dict[int, Latent] = {}

    def at(self, place: float) -> Latent:
        """Return the noise at ``place``, float32 (Z,).

        Args:
            place: from 0; at each whole number the walk is nearest to another random point.
        """
        first = math.floor(place)
        part = place - first
        numbers = range(first, first + _NEIGHBOURS)
        self._points = {number: self._point(number) for number in numbers}
        weights = np.sqrt(_spline(part)).astype(np.float32)
        mixed: Latent = weights @ np.stack([self._points[number] for number in numbers])
        return mixed

    def _point(self, number: int) -> Latent:
        known = self._points.get(number)
        if known is not None:
            return known
        return np.random.default_rng((self._seed, number)).standard_normal(self._length, np.float32)


def _spline(part: float) -> NDArray[np.float64]:
    """Return the four weights of a uniform cubic B-spline, ``part`` of the way along."""
    rest = 1.0 - part
    return (
        np.array(
            [
                rest**3,
                3 * part**3 - 6 * part**2 + 4,
                3 * rest**3 - 6 * rest**2 + 4,
                part**3,
            ]
        )
        / 6.0
    )
