"""Picture to picture with a known target: what ``paired`` and ``enhance`` have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.augment import Motion, draw_motion
from obs_stylizer.training.datasets import ContentPictures, sample_random
from obs_stylizer.training.discriminators import Discriminator, build_discriminator
from obs_stylizer.training.game import Game
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.image_pool import ImagePool
from obs_stylizer.training.losses.matching import feature_matching
from obs_stylizer.training.losses.temporal import motion_consistency
from obs_stylizer.training.objective_recipes import TranslationRecipe
from obs_stylizer.training.objectives.base import (
    SAMPLE_SIZE,
    Batch,
    GeneratorTurn,
    Objective,
    spread,
    to_pixels,
    to_tensor,
)
from obs_stylizer.training.recipe import Recipe


class TranslationObjective(Objective):
    """Trains a generator towards known targets (pix2pix, Isola et al. 2017).

    L1, feature matching (Wang et al. 2018), a discriminator on pairs of source and output, and
    consistency under known motion. A subclass says where pairs come from.

    Args:
        recipe: the whole recipe.
        section: the recipe's section of this objective.
        device: for the networks.

    Raises:
        TrainingError: the content cannot be read.
    """

    def __init__(self, recipe: Recipe, section: TranslationRecipe, device: torch.device) -> None:
        nn.Module.__init__(self)
        self.recipe, self.section, self.device = recipe, section, device
        self.game = Game(recipe.adversarial)
        self.pool = ImagePool(recipe.adversarial.pool)
        self.content = ContentPictures.of(recipe.data)
        self.generators = nn.ModuleDict({"translator": build_generator(recipe.generator)})
        self.discriminators = nn.ModuleDict()
        if recipe.adversarial.weight or section.feature_matching:
            self.discriminators["pairs"] = build_discriminator(recipe.discriminator, inputs=6)
        self.to(device)

    @abstractmethod
    def draw_pair(self, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Return source and target of a training sample, uint8 (crop, crop, 3) each."""

    @abstractmethod
    def whole_pair(self, path: Path, size: FrameSize) -> tuple[Pixels, Pixels]:
        """Return source and target made from the content at ``path``, always the same ones.

        Args:
            path: one of the content pictures.
            size: of the result; what does not fit is cut off.
        """

    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return ``source`` and ``target`` (B, 3, H, W), and ``motion``."""
        seed = self.recipe.seed
        randoms = [sample_random(seed, step, number, turn) for number in samples]
        pairs = [self.draw_pair(random) for random in randoms]
        return {
            "source": to_tensor([source for source, _ in pairs]),
            "target": to_tensor([target for _, target in pairs]),
            "motion": draw_motion(self.recipe.temporal, randoms, self.recipe.data.crop),
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the sum of L1, temporal, adversarial and feature-matching losses."""
        recipe, section = self.recipe, self.section
        source, target = batch["source"], batch["target"]
        motion: Motion = batch["motion"]
        translator = self.generators["translator"]
        made: Tensor = translator(source)
        metrics = {"l1": (made.float() - target).abs().mean()}
        loss = section.l1 * metrics["l1"]
        metrics["psnr"] = -10 * (made.detach().float() - target).square().mean().log10()
        if recipe.temporal.weight:
            moved = translator(motion.disturb(source))
            metrics["temporal"] = motion_consistency(made, moved, motion)
            loss = loss + recipe.temporal.weight * metrics["temporal"]
        if self.discriminators:
            seeds, judge = batch["noise_seeds"], self.discriminators["pairs"]
            assert isinstance(judge, Discriminator)
            pair = torch.cat([source, made.float()], 1)
            verdict = judge.examine(self.game.noisy(pair, seeds, 0))
            metrics["adversarial"] = self.game.loss_of_scores(verdict.scores)
            loss = loss + recipe.adversarial.weight * metrics["adversarial"]
            if section.feature_matching:
                with torch.no_grad():
                    wanted = judge.examine(
                        self.game.noisy(torch.cat([source, target], 1), seeds, 0)
                    )
                metrics["matching"] = feature_matching(verdict.features, wanted.features)
                loss = loss + section.feature_matching * metrics["matching"]
        metrics["loss"] = loss
        return GeneratorTurn(
            loss, {name: value.detach() for name, value in metrics.items()}, {"made": made.detach()}
        )

    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of telling pairs with the target from pairs with the output."""
        source = batch["source"]
        if fakes is None:
            with torch.no_grad():
                fakes = {"made": self.generators["translator"](source)}
        seeds = batch["noise_seeds"]
        made = self.pool.exchange(torch.cat([source, fakes["made"].float()], 1), seeds)
        real = torch.cat([source, batch["target"]], 1)
        return self.game.discriminator_loss(self.discriminators["pairs"], real, made, seeds)

    @torch.no_grad()
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return held-out sources (left), outputs and targets."""
        rows = []
        for path in spread(self.content.held_out or self.content.training.paths):
            source, target = self.whole_pair(path, SAMPLE_SIZE)
            made = generators["translator"](to_tensor([source]).to(self.device))[0]
            rows.append(np.hstack([source, to_pixels(made), target]))
        return np.vstack(rows)

    def check(self) -> list[str]:
        """Read every picture once and say what there is."""
        pictures = self.content.training
        pictures.check()
        return [
            f"content: {len(pictures)} pictures to train on, {len(pictures.broken)} broken, "
            f"{len(self.content.held_out)} held out"
        ]

    def extra_state(self) -> dict[str, Any]:
        """Return the pool's pictures."""
        return {"pool": self.pool.state()} if self.pool.size else {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back the pool's pictures."""
        if self.pool.size:
            self.pool.load_state(state["pool"])
