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
from obs_stylizer.training.clips import ClipPairs
from obs_stylizer.training.datasets import ContentPictures, sample_random
from obs_stylizer.training.discriminators import Discriminator, build_discriminator
from obs_stylizer.training.features import FeatureNetwork, load_features
from obs_stylizer.training.gan_loss import GanLoss
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.image_pool import ImagePool
from obs_stylizer.training.losses.matching import feature_matching
from obs_stylizer.training.losses.perceptual import content_distance
from obs_stylizer.training.losses.temporal import clip_consistency, motion_consistency
from obs_stylizer.training.objective_recipes import TranslationRecipe
from obs_stylizer.training.objectives.base import (
    SAMPLE_SIZE,
    Batch,
    GeneratorTurn,
    Objective,
    spread,
)
from obs_stylizer.training.recipe import Recipe, expand_path
from obs_stylizer.training.tensors import to_pixels, to_tensor


class TranslationObjective(Objective):
    """Trains a generator towards known targets (pix2pix, Isola et al. 2017).

    L1, feature matching (Wang et al. 2018), a discriminator on pairs of source and output, a
    perceptual loss where the recipe asks for one, and consistency under known motion and along
    real clips. A subclass says where pairs come from.

    Args:
        recipe: the whole recipe.
        section: the recipe's section of this objective.
        device: for the networks.
        features: file of weights to use instead of the recipe's.

    Raises:
        TrainingError: the content or the features cannot be read.
    """

    def __init__(
        self,
        recipe: Recipe,
        section: TranslationRecipe,
        device: torch.device,
        features: Path | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.recipe, self.section, self.device = recipe, section, device
        self.gan_loss = GanLoss(recipe.adversarial)
        self.pool = ImagePool(recipe.adversarial.pool)
        self.content = ContentPictures.of(recipe.data)
        self.clips = ClipPairs.of(recipe.data)
        self.generators = nn.ModuleDict({"translator": build_generator(recipe.generator)})
        self.discriminators = nn.ModuleDict()
        if recipe.adversarial.weight or section.feature_matching:
            self.discriminators["pairs"] = build_discriminator(recipe.discriminator, inputs=6)
        self.features: FeatureNetwork | None = None
        if section.perceptual:
            self.features = load_features(features or expand_path(section.features))
            self.features.check_names(section.perceptual_layers)
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
        """Return ``source`` and ``target`` (B, 3, H, W), ``motion``, and pairs of clips' frames."""
        seed = self.recipe.seed
        randoms = [sample_random(seed, step, number, turn) for number in samples]
        pairs = [self.draw_pair(random) for random in randoms]
        moving = self.clips.batch(self.recipe, step, samples) if self.clips and not turn else {}
        return {
            **moving,
            "step": step,
            "source": to_tensor([source for source, _ in pairs]),
            "target": to_tensor([target for _, target in pairs]),
            "motion": draw_motion(self.recipe.temporal, randoms, self.recipe.data.crop),
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the sum of L1, perceptual, temporal, adversarial and matching losses."""
        recipe, section = self.recipe, self.section
        source, target = batch["source"], batch["target"]
        motion: Motion = batch["motion"]
        translator = self.generators["translator"]
        made: Tensor = translator(source)
        metrics = {"l1": (made.float() - target).abs().mean()}
        loss = section.l1 * metrics["l1"]
        metrics["psnr"] = -10 * (made.detach().float() - target).square().mean().log10()
        if self.features is not None:
            metrics["perceptual"] = self._perceptual(self.features, made, target)
            loss = loss + section.perceptual * metrics["perceptual"]
        if recipe.temporal.weight:
            moved = translator(motion.disturb(source))
            metrics["temporal"] = motion_consistency(made, moved, motion)
            loss = loss + recipe.temporal.weight * metrics["temporal"]
        if "clip_now" in batch:
            before, now = translator(torch.cat([batch["clip_before"], batch["clip_now"]])).chunk(2)
            metrics["clips"] = clip_consistency(before, now, batch["clip_back"], batch["clip_seen"])
            loss = loss + recipe.temporal.clip_weight * metrics["clips"]
        if self.discriminators:
            seeds, discriminator = batch["noise_seeds"], self.discriminators["pairs"]
            assert isinstance(discriminator, Discriminator)
            pair = torch.cat([source, made.float()], 1)
            verdict = discriminator.examine(self.gan_loss.noisy(pair, seeds, 0))
            metrics["adversarial"] = self.gan_loss.loss_of_scores(verdict.scores)
            loss = loss + recipe.adversarial.weight * metrics["adversarial"]
            if section.feature_matching:
                with torch.no_grad():
                    wanted = discriminator.examine(
                        self.gan_loss.noisy(torch.cat([source, target], 1), seeds, 0)
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
        return self.gan_loss.discriminator_loss(
            self.discriminators["pairs"], real, made, seeds, batch["step"]
        )

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
            f"{len(self.content.held_out)} held out",
            *([self.clips.check()] if self.clips else []),
        ]

    def _perceptual(self, features: FeatureNetwork, made: Tensor, target: Tensor) -> Tensor:
        layers = self.section.perceptual_layers
        found = features(made.float(), layers)
        with torch.no_grad():
            wanted = features(target, layers)
        return torch.stack(
            [
                weight * content_distance(found[layer], wanted[layer]).mean()
                for layer, weight in layers.items()
            ]
        ).sum()

    def extra_state(self) -> dict[str, Any]:
        """Return the pool's pictures."""
        return {"pool": self.pool.state()} if self.pool.size else {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back the pool's pictures."""
        if self.pool.size:
            self.pool.load_state(state["pool"])
