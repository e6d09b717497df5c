"""When to start the next worker, and when to stop trusting the GPU. Pure arithmetic on times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HEALTHY_SECONDS: Final = 30.0
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a failure: wait ``pause`` seconds, and leave the GPU or not."""

    pause: float
    give_up_gpu: bool


class RestartPolicy:
    """Counts failures in a row; a worker that ran for half a minute begins a new row.

    The first restart is at once, later ones wait longer, up to five seconds.
    """

    def __init__(self, gpu_failures: int) -> None:
        self._gpu_limit = gpu_failures
        self._in_a_row = 0
        self._gpu_in_a_row = 0

    def failed(self, ran_for: float, *, on_gpu: bool) -> Decision:
        """Decide after a worker failed that had styled for ``ran_for`` seconds."""
        if ran_for >= _HEALTHY_SECONDS:
            self._in_a_row = self._gpu_in_a_row = 0
        pause = _PAUSES[min(self._in_a_row, len(_PAUSES) - 1)]
        self._in_a_row += 1
        self._gpu_in_a_row = self._gpu_in_a_row + 1 if on_gpu else 0
        if self._gpu_in_a_row >= self._gpu_limit:
            self._in_a_row = self._gpu_in_a_row = 0
            return Decision(0.0, give_up_gpu=True)
        return Decision(pause, give_up_gpu=False)
