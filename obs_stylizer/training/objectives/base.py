"""What the training loop asks of an objective, and nothing more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.warm_start import load_from_model

SAMPLE_SIZE: Final = FrameSize(256, 256)
SAMPLE_PICTURES: Final = 4

Batch = dict[str, Any]
"""Tensors of one part of an update, on the CPU until the loop moves them."""


@dataclass
class GeneratorTurn:
    """What came of a generator's turn.

    Attributes:
        loss: scalar to descend.
        metrics: scalars to record, detached.
        fakes: made pictures for the discriminators, detached, by name.
    """

    loss: Tensor
    metrics: dict[str, Tensor]
    fakes: dict[str, Tensor]


class Objective(ABC, nn.Module):
    """A way to train generators.

    A subclass sets ``generators`` (trained, and followed by a moving average) and
    ``discriminators`` (trained against them; empty without an adversarial loss). Both hold whatever
    goes into a checkpoint; fixed networks are kept elsewhere.
    """

    generators: nn.ModuleDict
    discriminators: nn.ModuleDict

    @abstractmethod
    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        super().__init__()
        self._recipe = recipe

    @abstractmethod
    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return the samples with these numbers of the joint batch of ``step``.

        A pure function of its arguments and the recipe. ``turn`` tells apart the batches of
        several discriminator updates in one step. Called from a second thread.
        """

    @abstractmethod
    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the generators' loss on ``batch``."""

    @abstractmethod
    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the discriminators' loss on ``batch`` and metrics.

        Args:
            batch: samples.
            fakes: what :meth:`generator_turn` made of the same batch, or None to make it here.
        """

    @abstractmethod
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return a picture that shows what ``generators`` do, uint8 (height, width, 3)."""

    def start_from_model(self, networks: Sequence[nn.ModuleDict], path: Path) -> dict[str, Any]:
        """Give each of ``networks`` the weights of an exported generator.

        Returns:
            What was taken, as plain values.

        Raises:
            TrainingError: the file is of another kind or shape, or has no trained weights.
            ModelError: it is no native generator.
        """
        return load_from_model(networks, self._recipe, path)

    @abstractmethod
    def check(self) -> list[str]:
        """Look at all data and return lines that describe it.

        Raises:
            TrainingError: something the training needs is not there.
        """

    def extra_state(self) -> dict[str, Any]:
        """Return what a checkpoint must also hold, such as image pools."""
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`extra_state` returned."""


def spread(paths: Sequence[Path], count: int = SAMPLE_PICTURES) -> list[Path]:
    """Return ``count`` of ``paths`` (or all), taken evenly over the whole list."""
    count = min(count, len(paths))
    return [paths[(2 * number + 1) * len(paths) // (2 * count)] for number in range(count)]
