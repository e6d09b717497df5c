"""The unpaired objective: from one folder's look to another's, without a single pair.

Either two generators that undo each other (CycleGAN, Zhu et al. 2017), or one whose output must
keep every place recognisable (CUT, Park et al. 2020), which costs half.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.augment import Motion, draw_motion
from obs_stylizer.training.clips import ClipPairs
from obs_stylizer.training.datasets import ContentPictures, sample_random
from obs_stylizer.training.discriminators import build_discriminator
from obs_stylizer.training.gan_loss import GanLoss
from obs_stylizer.training.generators import PictureGenerator, build_generator
from obs_stylizer.training.image_pool import ImagePool
from obs_stylizer.training.losses.contrastive import features_at, patch_nce
from obs_stylizer.training.losses.temporal import clip_consistency, motion_consistency
from obs_stylizer.training.objective_recipes import UnpairedRecipe
from obs_stylizer.training.objectives.base import (
    SAMPLE_SIZE,
    Batch,
    GeneratorTurn,
    Objective,
    spread,
)
from obs_stylizer.training.pictures import fit_frame, read_picture
from obs_stylizer.training.recipe import Recipe
from obs_stylizer.training.tensors import to_pixels, to_tensor


class UnpairedObjective(Objective):
    """Trains the generator ``forth`` from content to the second domain, and maybe ``back``.

    Raises:
        TrainingError: the pictures of either domain cannot be used.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        super().__init__(recipe, device)
        if recipe.unpaired is None:
            raise TrainingError(f"the recipe {recipe.name} has no section unpaired")
        self.recipe, self.unpaired, self.device = recipe, recipe.unpaired, device
        self.gan_loss = GanLoss(recipe.adversarial)
        self.content = ContentPictures.of(recipe.data)
        self.clips = ClipPairs.of(recipe.data)
        self.second = ContentPictures.of(
            recipe.data.model_copy(update={"content": self.unpaired.second})
        )
        forth = build_generator(recipe.generator)
        self.generators = nn.ModuleDict({"forth": forth})
        self.discriminators = nn.ModuleDict({"second": build_discriminator(recipe.discriminator)})
        if self.cyclic:
            self.generators["back"] = build_generator(recipe.generator)
            self.discriminators["first"] = build_discriminator(recipe.discriminator)
        else:
            self.generators["heads"] = _heads(forth, recipe.data.crop, self.unpaired)
        self.pools = {name: ImagePool(recipe.adversarial.pool) for name in self.discriminators}
        self.to(device)

    @property
    def cyclic(self) -> bool:
        """Whether a second generator leads back."""
        return self.unpaired.form == "cycle"

    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return ``first`` and ``second`` (B, 3, H, W) of the two domains, and ``motion``."""
        seed, data = self.recipe.seed, self.recipe.data
        randoms = [sample_random(seed, step, number, turn) for number in samples]
        moving = self.clips.batch(self.recipe, step, samples) if self.clips and not turn else {}
        return {
            **moving,
            "step": step,
            "first": to_tensor([self.content.crop(data, random) for random in randoms]),
            "second": to_tensor([self.second.crop(data, random) for random in randoms]),
            "motion": draw_motion(self.recipe.temporal, randoms, data.crop),
            "places": torch.rand(
                self.unpaired.places, generator=torch.Generator().manual_seed(seed + step)
            ),
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the sum of adversarial, cycle or contrastive, identity and temporal losses."""
        weights, first, second = self.unpaired, batch["first"], batch["second"]
        forth = self.generators["forth"]
        made: Tensor = forth(first)
        fakes = {"second": made}
        metrics: dict[str, Tensor] = {}
        if self.cyclic:
            back = self.generators["back"]
            fakes["first"] = back(second)
            there_and_back = (back(made).float() - first).abs().mean()
            back_and_there = (forth(fakes["first"]).float() - second).abs().mean()
            metrics["cycle"] = there_and_back + back_and_there
            loss = weights.cycle * metrics["cycle"]
            if weights.identity_weight:
                metrics["identity"] = (forth(second).float() - second).abs().mean() + (
                    back(first).float() - first
                ).abs().mean()
                loss = loss + weights.identity_weight * metrics["identity"]
        else:
            metrics["contrastive"] = self._contrast(made, first, batch["places"])
            loss = weights.contrastive * metrics["contrastive"]
            if weights.identity_weight:
                same: Tensor = forth(second)
                metrics["identity"] = self._contrast(same, second, batch["places"])
                loss = loss + weights.identity_weight * metrics["identity"]
        metrics["adversarial"] = torch.stack(
            [
                self.gan_loss.generator_loss(
                    self.discriminators[name], fake.float(), batch["noise_seeds"]
                )
                for name, fake in fakes.items()
            ]
        ).sum()
        loss = loss + self.recipe.adversarial.weight * metrics["adversarial"]
        if self.recipe.temporal.weight:
            motion: Motion = batch["motion"]
            metrics["temporal"] = motion_consistency(made, forth(motion.disturb(first)), motion)
            loss = loss + self.recipe.temporal.weight * metrics["temporal"]
        if "clip_now" in batch:
            before, now = forth(torch.cat([batch["clip_before"], batch["clip_now"]])).chunk(2)
            metrics["clips"] = clip_consistency(before, now, batch["clip_back"], batch["clip_seen"])
            loss = loss + self.recipe.temporal.clip_weight * metrics["clips"]
        metrics["loss"] = loss
        return GeneratorTurn(
            loss,
            {name: value.detach() for name, value in metrics.items()},
            {name: fake.detach() for name, fake in fakes.items()},
        )

    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of telling each domain's pictures from made ones."""
        if fakes is None:
            with torch.no_grad():
                fakes = {"second": self.generators["forth"](batch["first"])}
                if self.cyclic:
                    fakes["first"] = self.generators["back"](batch["second"])
        seeds = batch["noise_seeds"]
        losses: list[Tensor] = []
        metrics: dict[str, Tensor] = {}
        for name, discriminator in self.discriminators.items():
            fake = self.pools[name].exchange(fakes[name].float(), seeds)
            loss, found = self.gan_loss.discriminator_loss(
                discriminator, batch[name], fake, seeds, batch["step"]
            )
            losses.append(loss)
            metrics |= {f"{key}_{name}": value for key, value in found.items()}
        return torch.stack(losses).sum(), metrics

    @torch.no_grad()
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return held-out pictures (left), what they become, and what comes back."""
        rows = []
        for path in spread(self.content.held_out or self.content.training.paths):
            source, _ = self.whole_pair(path, SAMPLE_SIZE)
            made = generators["forth"](to_tensor([source]).to(self.device))
            row = [source, to_pixels(made[0])]
            if self.cyclic:
                row.append(to_pixels(generators["back"](made)[0]))
            rows.append(np.hstack(row))
        return np.vstack(rows)

    def whole_pair(self, path: Path, size: FrameSize) -> tuple[Pixels, Pixels]:
        """Return the picture at ``path`` twice: it is what a cycle should give back."""
        source = fit_frame(read_picture(path), size)
        return source, source

    def check(self) -> list[str]:
        """Read every picture once and say what there is."""
        lines = []
        for name, pictures in (("content", self.content), ("second domain", self.second)):
            pictures.training.check()
            lines.append(
                f"{name}: {len(pictures.training)} pictures to train on, "
                f"{len(pictures.training.broken)} broken, {len(pictures.held_out)} held out"
            )
        if self.clips:
            lines.append(self.clips.check())
        return lines

    def extra_state(self) -> dict[str, Any]:
        """Return the pools' pictures."""
        return {"pools": {name: pool.state() for name, pool in self.pools.items()}}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back the pools' pictures."""
        for name, pool in self.pools.items():
            pool.load_state(state["pools"][name])

    def _contrast(self, made: Tensor, source: Tensor, places: Tensor) -> Tensor:
        """Return the contrastive loss over the layers of the generator's encoding half."""
        forth = self.generators["forth"]
        assert isinstance(forth, PictureGenerator)
        heads = self.generators["heads"]
        assert isinstance(heads, nn.ModuleList)
        found = zip(heads, forth.encode(made), forth.encode(source), strict=True)
        return torch.stack(
            [
                patch_nce(
                    head(features_at(of_made, places)),
                    head(features_at(of_source, places)),
                    self.unpaired.temperature,
                )
                for head, of_made, of_source in found
            ]
        ).mean()


def _heads(generator: PictureGenerator, crop: int, recipe: UnpairedRecipe) -> nn.ModuleList:
    """Return a small network for each layer, which brings its features to one length."""
    with torch.no_grad():
        widths = [found.shape[1] for found in generator.encode(torch.zeros(1, 3, crop, crop))]
    return nn.ModuleList(
        nn.Sequential(
            nn.Linear(width, recipe.embedding),
            nn.ReLU(),
            nn.Linear(recipe.embedding, recipe.embedding),
        )
        for width in widths
    )
