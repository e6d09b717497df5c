"""Temporal smoothing: where nothing moves, part of the last picture is kept."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from obs_stylizer.frames import Pixels

Past = tuple[Pixels, Pixels]
"""The grey of the last input and the last output, uint8."""

_STILL_BELOW: Final = 6.0
_MOVING_ABOVE: Final = 20.0


class TemporalSmoother:
    """Calms the flicker that a generator makes of camera noise, without ghosts.

    The change of the *input* says where something moves; there the new picture is shown as it
    is. Elsewhere ``share`` of the last output is kept (a recursive average in time).
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._last_input: Pixels | None = None
        self._last_output: Pixels | None = None

    def __call__(self, frame: Pixels, styled: Pixels) -> Pixels:
        """Return ``styled``, smoothed; ``frame`` is what it was made of. uint8, same shapes."""
        grey = cv2.blur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (5, 5))
        last_input, last_output = self._last_input, self._last_output
        if last_input is None or last_output is None or last_output.shape != styled.shape:
            result = np.array(styled)
        else:
            change = cv2.absdiff(grey, last_input).astype(np.float32)
            still = (_MOVING_ABOVE - change) / (_MOVING_ABOVE - _STILL_BELOW)
            kept = self._share * np.clip(still, 0, 1)
            result = cv2.blendLinear(last_output, styled, kept, 1 - kept)
        self._last_input, self._last_output = grey, result
        return result

    def memory(self) -> Past | None:
        """Return all that the next picture depends on; None at the beginning and after a cut."""
        if self._last_input is None or self._last_output is None:
            return None
        return self._last_input.copy(), self._last_output.copy()

    def recall(self, past: Past) -> None:
        """Go on from the memory of another."""
        self._last_input, self._last_output = past[0].copy(), past[1].copy()

    def reset(self) -> None:
        """Forget the past, after a cut."""
        self._last_input = self._last_output = None
