"""A pool of pictures made earlier, so that the discriminator does not forget them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Hands out older pictures in place of half of the new ones.

    Shrivastava et al. 2017, "Learning from Simulated and Unsupervised Images through Adversarial
    Training"; CycleGAN keeps fifty.

    Args:
        size: pictures that are kept; with 0 every picture passes through.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._kept)

    def exchange(self, pictures: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return a batch of the shape of ``pictures``, each new or an older one.

        Args:
            pictures: (B, C, H, W), detached.
            seeds: a uniformly drawn number for each, which decides its fate.
        """
        if not self.size:
            return pictures
        given: list[Tensor] = []
        for picture, seed in zip(pictures, seeds, strict=True):
            if len(self._kept) < self.size:
                self._kept.append(picture.clone())
                given.append(picture)
            elif seed % 2:
                index = (seed // 2) % self.size
                given.append(self._kept[index])
                self._kept[index] = picture.clone()
            else:
                given.append(picture)
        return torch.stack(given)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"kept": list(self._kept)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
        self._kept = list(state["kept"])
