"""Slow, careful filters of ours whose looks generators learn to make in real time.

Each takes uint8 (H, W, 3) RGB and returns the same shape. They are drawn for pictures of about
360 rows, at which generators work.
"""

from __future__ import annotations

from obs_stylizer.training.filters.cel import cel
from obs_stylizer.training.filters.drawing import comic, ink, neon, pencil
from obs_stylizer.training.filters.painterly import oil, watercolour

__all__ = ["cel", "comic", "ink", "neon", "oil", "pencil", "watercolour"]
