"""The painting objective: the styles of pictures in one feed-forward generator.

Perceptual losses of Johnson et al. 2016, conditional normalisation of Dumoulin et al. 2017, an
adversarial loss on patches of the style pictures (as Li and Wand 2016), and consistency under
known motion.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.augment import BORDER, Motion, draw_motion
from obs_stylizer.training.clips import ClipPairs
from obs_stylizer.training.datasets import ContentPictures, cut_crop, sample_random
from obs_stylizer.training.discriminators import build_discriminator
from obs_stylizer.training.features import FeatureNetwork, load_features
from obs_stylizer.training.gan_loss import GanLoss
from obs_stylizer.training.generators import build_generator
from obs_stylizer.training.losses.perceptual import (
    plain_frames,
    tone_distance,
    total_variation,
    unevenness,
)
from obs_stylizer.training.losses.regularization import Critic
from obs_stylizer.training.losses.style_scales import StyleScales
from obs_stylizer.training.losses.temporal import clip_consistency, motion_consistency
from obs_stylizer.training.objective_recipes import PaintingRecipe
from obs_stylizer.training.objectives.base import (
    SAMPLE_SIZE,
    Batch,
    GeneratorTurn,
    Objective,
    spread,
)
from obs_stylizer.training.pictures import fit_frame, read_picture, scale_to_short_side
from obs_stylizer.training.recipe import Recipe, expand_path
from obs_stylizer.training.teachers import ModelTeacher
from obs_stylizer.training.tensors import to_pixels, to_tensor

logger = logging.getLogger(__name__)


class PaintingObjective(Objective):
    """Trains one generator for all styles of a recipe.

    Args:
        recipe: the whole recipe.
        device: for the networks.
        features: file of weights to use instead of the recipe's.

    Raises:
        TrainingError: features, styles or content cannot be read.
    """

    def __init__(self, recipe: Recipe, device: torch.device, features: Path | None = None) -> None:
        super().__init__(recipe, device)
        if recipe.painting is None:
            raise TrainingError(f"the recipe {recipe.name} has no section painting")
        self.recipe = recipe
        self.painting: PaintingRecipe = recipe.painting
        self.gan_loss = GanLoss(recipe.adversarial)
        self.styles = tuple(self.painting.styles)
        self._turns = [
            index
            for index, style in enumerate(self.painting.styles.values())
            for _ in range(style.turns)
        ]
        self.content = ContentPictures.of(recipe.data)
        self.clips = ClipPairs.of(recipe.data)
        paintings = [
            read_picture(expand_path(style.picture)) for style in self.painting.styles.values()
        ]
        self.style_pictures = [
            scale_to_short_side(picture, style.size)
            for picture, style in zip(paintings, self.painting.styles.values(), strict=True)
        ]
        self.generators = nn.ModuleDict(
            {"painter": build_generator(recipe.generator, len(self.styles))}
        )
        self.discriminators = nn.ModuleDict()
        if recipe.adversarial.weight:
            self.discriminators["patches"] = build_discriminator(
                recipe.discriminator, len(self.styles)
            )
        self.to(device)
        self.perceptual: StyleScales | None = None
        if self.painting.style_weight or self.painting.content_weight:
            network = load_features(features or expand_path(self.painting.features)).to(device)
            side = recipe.data.crop - 2 * self.painting.margin
            self.perceptual = StyleScales(network, self.painting, paintings, side, device)
        self._teacher, self._teacher_mixes = self._find_teacher()

    @property
    def features(self) -> FeatureNetwork | None:
        """The fixed network of the losses, if there is one, for whoever compiles networks."""
        return None if self.perceptual is None else self.perceptual.features

    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return ``content`` and ``real`` (B, 3, H, W), ``style`` (B, S) and maybe ``motion``.

        Styles take turns over the joint batch, so that each gets its share; a share of samples
        is in a mixture of that style and another. Pairs of clips' frames are added where the
        recipe names clips.
        """
        recipe, seed = self.recipe, self.recipe.seed
        randoms = [sample_random(seed, step, number, turn) for number in samples]
        turns = self._turns
        order = [turns[(step * recipe.schedule.batch + number) % len(turns)] for number in samples]
        content = [self.content.crop(recipe.data, random) for random in randoms]
        style = nn.functional.one_hot(torch.tensor(order), len(self.styles)).float()
        for row, random in zip(style, randoms, strict=True):
            if self.painting.mixes and random.random() < self.painting.mixes:
                share = float(random.uniform(0.2, 0.8))
                row *= share
                row[int(random.integers(len(self.styles)))] += 1 - share
        # A mixture is judged beside both its paintings, each as often as its share says.
        real = [
            self._style_crop(int(random.choice(len(row), p=row / row.sum())), random)
            for row, random in zip(style.double().numpy(), randoms, strict=True)
        ]
        moving: Batch = (
            {**self.clips.batch(recipe, step, samples)} if self.clips and not turn else {}
        )
        if recipe.temporal.weight and step % recipe.temporal.every == 0:
            moving["motion"] = draw_motion(recipe.temporal, randoms, recipe.data.crop)
        if self._teacher is not None and not turn:
            mixes = (style @ self._teacher_mixes).tolist()
            moving["wanted"] = to_tensor(
                [self._teacher.paint(crop, mix) for crop, mix in zip(content, mixes, strict=True)]
            )
        return {
            **moving,
            "content": to_tensor(content),
            "real": to_tensor(real),
            "style": style,
            "step": step,
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the sum of style, content, temporal, smoothness and adversarial losses."""
        painting, weights = self.painting, self.recipe
        content, style = batch["content"], batch["style"]
        painter = self.generators["painter"]
        whole: Tensor = painter(content, style)
        made, seen = self._inner(whole), self._inner(content)
        metrics: dict[str, Tensor] = {}

        loss = torch.zeros((), device=content.device)
        if self.perceptual is not None:
            metrics |= self.perceptual(made, seen, style, batch["noise_seeds"])
            loss = (
                painting.style_weight * metrics["style"]
                + painting.content_weight * metrics["content"]
            )
        if "wanted" in batch:
            metrics["imitation"] = (made.float() - self._inner(batch["wanted"])).abs().mean()
            loss = loss + painting.imitation * metrics["imitation"]
        if painting.tone:
            metrics["tone"] = tone_distance(made, seen).mean()
            loss = loss + painting.tone * metrics["tone"]
        if painting.plain:
            walls = plain_frames(content, batch["noise_seeds"])
            metrics["plain"] = unevenness(painter(walls, style))
            loss = loss + painting.plain * metrics["plain"]
        metrics["variation"] = total_variation(made.float())
        loss = loss + painting.total_variation * metrics["variation"]
        if "motion" in batch:
            motion: Motion = batch["motion"]
            moved = painter(motion.disturb(content), style)
            # With a margin nothing but this tells the border what to show: what the middle does.
            border = 0.0 if painting.margin else BORDER
            metrics["temporal"] = motion_consistency(whole, moved, motion, border)
            loss = loss + weights.temporal.weight * weights.temporal.every * metrics["temporal"]
        if "clip_now" in batch:
            frames = torch.cat([batch["clip_before"], batch["clip_now"]])
            before, now = painter(frames, torch.cat([style, style])).chunk(2)
            metrics["clips"] = clip_consistency(before, now, batch["clip_back"], batch["clip_seen"])
            loss = loss + weights.temporal.clip_weight * metrics["clips"]
        if self.discriminators:
            metrics["adversarial"] = self.gan_loss.generator_loss(
                self._critic(batch), made, batch["noise_seeds"]
            )
            loss = loss + weights.adversarial.weight * metrics["adversarial"]
        metrics["loss"] = loss
        return GeneratorTurn(
            loss, {name: value.detach() for name, value in metrics.items()}, {"made": made.detach()}
        )

    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of telling crops of the style pictures from made pictures."""
        if fakes is None:
            with torch.no_grad():
                whole = self.generators["painter"](batch["content"], batch["style"])
                fakes = {"made": self._inner(whole)}
        return self.gan_loss.discriminator_loss(
            self._critic(batch), batch["real"], fakes["made"], batch["noise_seeds"], batch["step"]
        )

    @torch.no_grad()
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return held-out pictures (left) and what each style makes of them."""
        paths = spread(self.content.held_out or tuple(self.content.training.paths))
        device = next(generators.parameters()).device
        rows = []
        for path in paths:
            cut = fit_frame(read_picture(path), SAMPLE_SIZE)
            frame = to_tensor([cut]).to(device)
            mixes = torch.eye(len(self.styles), device=device)
            made = [generators["painter"](frame, mix[None])[0] for mix in mixes]
            rows.append(np.hstack([cut, *(to_pixels(picture) for picture in made)]))
        return np.vstack(rows)

    def check(self) -> list[str]:
        """Read every picture once and say what there is."""
        pictures = self.content.training
        pictures.check()
        sizes = (
            f"{name} {picture.shape[1]}x{picture.shape[0]}"
            for name, picture in zip(self.styles, self.style_pictures, strict=True)
        )
        return [
            f"content: {len(pictures)} pictures to train on, {len(pictures.broken)} broken, "
            f"{len(self.content.held_out)} held out",
            f"styles: {', '.join(sizes)}",
            *([self.clips.check()] if self.clips else []),
        ]

    def _find_teacher(self) -> tuple[ModelTeacher | None, Tensor]:
        """Return the teacher, if there is one, and its style vector (T,) for each of ours."""
        if self.painting.teacher_model is None:
            return None, torch.zeros(len(self.styles), 0)
        teacher = ModelTeacher(expand_path(self.painting.teacher_model))
        unknown = set(self.styles) - set(teacher.styles)
        if unknown:
            raise TrainingError(
                f"the teacher {teacher.path} has no style {min(unknown)}",
                f"it has {', '.join(teacher.styles) or 'none'}",
            )
        vectors = [[float(known == name) for known in teacher.styles] for name in self.styles]
        return teacher, torch.tensor(vectors)

    def _style_crop(self, index: int, random: np.random.Generator) -> Pixels:
        """Cut a crop from a style picture, at its own scale or up to a fifth larger."""
        picture = self.style_pictures[index]
        crop, short = self.recipe.data.crop, min(picture.shape[:2])
        low = max(crop, short)
        return cut_crop(picture, random, crop, (low, round(low * 1.2)))

    def _inner(self, pictures: Tensor) -> Tensor:
        """Return pictures without the margin."""
        margin = self.painting.margin
        if not margin:
            return pictures
        return pictures[
            ..., margin : pictures.shape[-2] - margin, margin : pictures.shape[-1] - margin
        ]

    def _critic(self, batch: Batch) -> Critic:
        """Return the discriminator, scoring patches in the styles that each should have."""
        shares = batch["style"][:, :, None, None]

        def discriminator(pictures: Tensor) -> list[Tensor]:
            found = self.discriminators["patches"](pictures)
            return [(scores * shares.to(scores)).sum(1) for scores in found]

        return discriminator
