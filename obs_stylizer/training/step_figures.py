"""Figures of the updates between two lines of metrics."""

from __future__ import annotations

import time


class Means:
    """Means of figures since they were last taken."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, int]] = {}
        self.latest: dict[str, float] = {}

    def add(self, figures: dict[str, float]) -> None:
        """Count the figures of an update, or of a part of one."""
        self.latest = {**self.latest, **figures}
        for name, value in figures.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        """Return the means, and begin anew."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums.clear()
        return means


class StepClock:
    """Tells what share of the wall-clock time passed outside the networks.

    That is waiting for data, writing metrics, drawing sample grids and saving checkpoints.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._inside = 0.0

    def add(self, seconds: float) -> None:
        """Count ``seconds`` spent in networks and optimizers."""
        self._inside += seconds

    def take(self) -> float:
        """Return the share since this was last asked, 0 to 1."""
        now = time.monotonic()
        share = 1 - self._inside / max(now - self._since, 1e-9)
        self._since, self._inside = now, 0.0
        return max(share, 0.0)
