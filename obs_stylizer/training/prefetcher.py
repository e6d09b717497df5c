"""The next batch, made in a thread while the networks work on this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from obs_stylizer.training.augment import Motion
from obs_stylizer.training.objectives.base import Batch

MakeParts = Callable[[int, int], list[Batch]]


class Prefetcher:
    """Gives batches in the order of the updates.

    Args:
        make: makes the parts of the batch of a step and a turn.
        turns: batches that each step takes.
        device: that they are moved to.
    """

    def __init__(self, make: MakeParts, turns: int, device: torch.device) -> None:
        self._make, self._turns, self._device = make, turns, device
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: dict[tuple[int, int], Future[list[Batch]]] = {}
        self._seconds: list[float] = []

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, step: int, turn: int) -> tuple[list[Batch], float]:
        """Return the batch on the device and the seconds it had to be waited for."""
        started = time.monotonic()
        parts = self._order(step, turn).result()
        del self._ahead[step, turn]
        last = turn + 1 == self._turns
        self._order(step + 1 if last else step, 0 if last else turn + 1)
        moved = [_move(batch, self._device) for batch in parts]
        return moved, time.monotonic() - started

    def take_seconds(self) -> float:
        """Return the mean processor time that making a batch took since this was last asked."""
        seconds, self._seconds = self._seconds, []
        return sum(seconds) / max(len(seconds), 1)

    def _order(self, step: int, turn: int) -> Future[list[Batch]]:
        if (step, turn) not in self._ahead:
            self._ahead[step, turn] = self._thread.submit(self._timed, step, turn)
        return self._ahead[step, turn]

    def _timed(self, step: int, turn: int) -> list[Batch]:
        started = time.thread_time()
        parts = self._make(step, turn)
        self._seconds.append(time.thread_time() - started)
        return parts


def _move(batch: Batch, device: torch.device) -> Batch:
    def moved(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor | Motion) else value

    return {name: moved(value) for name, value in batch.items()}
