"""The segmentation objective: where in a frame are people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.native_model import load_mask_model
from obs_stylizer.training.augment import noise_like
from obs_stylizer.training.datasets import PictureSet, sample_random
from obs_stylizer.training.objectives.base import Batch, GeneratorTurn, Objective
from obs_stylizer.training.pictures import find_pictures, split_held_out
from obs_stylizer.training.recipe import Recipe, expand_path
from obs_stylizer.training.segmentation.composites import Composites, MaskSample
from obs_stylizer.training.segmentation.cutouts import PersonTeacher, cut_out_all
from obs_stylizer.training.segmentation.exported_state import state_of
from obs_stylizer.training.segmentation.network import MaskNetwork
from obs_stylizer.training.tensors import to_tensor

_SAMPLES: Final = 12
_NORMALISED_ON: Final = 32
"""Samples that batch norms are put back by."""
_PLACES_SHORT_SIDE: Final = 448
_EDGE: Final = 5
"""Side of the squares that a pixel must differ from its surroundings in to lie at an edge."""


class SegmentationObjective(Objective):
    """Trains a mask network on composites, whose alpha is known exactly.

    Cross-entropy, heavier at edges; a soft intersection over union (Rahman & Wang 2016), so that
    a small person counts as much as a large one; and the difference between the masks of one
    frame under two draws of camera noise, so that edges stand still.

    Raises:
        TrainingError: the pictures or the teacher cannot be used.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        super().__init__(recipe, device)
        if recipe.segmentation is None:
            raise TrainingError(f"the recipe {recipe.name} has no section segmentation")
        self.recipe, self.device, self.section = recipe, device, recipe.segmentation
        self.generators = nn.ModuleDict({"masker": MaskNetwork()})
        self.discriminators = nn.ModuleDict()
        self.people, self.people_held_out = _divide(
            self.section.people, recipe.data.hold_out, left_out=self.section.left_out
        )
        people = {*self.people, *self.people_held_out}
        self.places, self.places_held_out = _divide(
            recipe.data.content, recipe.data.hold_out, people, self.section.left_out
        )
        # A fifth quicker with it, on a CPU as well.
        self.to(device)
        self.generators.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @cached_property
    def teacher(self) -> PersonTeacher:
        """The network that cuts people out."""
        return PersonTeacher(expand_path(self.section.teacher))

    @cached_property
    def composites(self) -> Composites:
        """Draws what is trained on."""
        people = cut_out_all(self.people, self.teacher)
        return Composites(people, PictureSet(self.places, _PLACES_SHORT_SIDE), self.section)

    @cached_property
    def held_out(self) -> Composites:
        """Draws what is judged on; what is trained on where the recipe holds nothing out."""
        if not self.people_held_out:
            return self.composites
        people = cut_out_all(self.people_held_out, self.teacher)
        places = PictureSet(self.places_held_out, _PLACES_SHORT_SIDE)
        # Blue apples teach to look at shapes; nobody's camera sees them.
        section = self.section.model_copy(update={"recoloured": 0.0})
        return Composites(people, places, section)

    def make_batch(self, step: int, samples: Sequence[int], turn: int = 0) -> Batch:
        """Return ``frame`` (B, 3, H, W) and ``alpha`` (B, 1, H, W), 0 to 1.

        Of two samples the second is the first one mirrored, as another camera sees it: pasting
        takes longer than the network.
        """
        seed = self.recipe.seed
        sizes = self.section.sizes
        size = FrameSize(*sizes[step % len(sizes)])
        randoms = [sample_random(seed, step, number, turn) for number in samples]
        scenes = {
            pair: self.composites.draw_scene(size, sample_random(seed, step, pair, turn + 1))
            for pair in sorted({number // 2 for number in samples})
        }
        drawn = []
        for number, random in zip(samples, randoms, strict=True):
            scene = scenes[number // 2]
            scene = scene.mirrored() if number % 2 else scene
            drawn.append(self.composites.through_a_camera(scene, random))
        return {
            "step": step,
            "frame": to_tensor([sample.frame for sample in drawn]),
            "alpha": to_tensor([sample.alpha[..., None] for sample in drawn]),
            "noise_seeds": tuple(int(random.integers(2**31)) for random in randoms),
        }

    def generator_turn(self, batch: Batch) -> GeneratorTurn:
        """Return the sum of the losses."""
        frame, alpha = batch["frame"], batch["alpha"]
        masker = self.generators["masker"]
        again = max(1, len(frame) // 8) if self.section.steady else 0
        noise = noise_like(frame[:again], batch["noise_seeds"][:again]) * self.section.noise / 2
        both = torch.cat([frame, (frame[:again] + noise).clamp(0, 1)])
        both = both.contiguous(memory_format=torch.channels_last)
        logits: Tensor = masker(both).float()
        first, second = logits[: len(frame)], logits[len(frame) :]
        mask = first.sigmoid()
        near = F.max_pool2d(alpha, _EDGE, 1, _EDGE // 2) + F.max_pool2d(
            -alpha, _EDGE, 1, _EDGE // 2
        )
        weights = 1 + self.section.edge * near
        entropy = (
            F.binary_cross_entropy_with_logits(first, alpha, reduction="none") * weights
        ).mean()
        shared = (mask * alpha).sum((1, 2, 3))
        joined = (mask + alpha - mask * alpha).sum((1, 2, 3))
        # A frame without people asks for nothing but cross-entropy.
        overlap = (1 - (shared + 1) / (joined + 1)) * (alpha.amax((1, 2, 3)) > 0.5)
        loss = entropy + self.section.overlap * overlap.mean()
        metrics = {"entropy": entropy, "overlap": overlap.mean()}
        if again:
            metrics["steady"] = (second.sigmoid() - mask[:again]).abs().mean()
            loss = loss + self.section.steady * metrics["steady"]
        metrics["loss"] = loss
        return GeneratorTurn(loss, {name: v.detach() for name, v in metrics.items()}, {})

    def discriminator_turn(
        self, batch: Batch, fakes: dict[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """There is no discriminator."""
        raise NotImplementedError

    @torch.no_grad()
    def sample_grid(self, generators: nn.ModuleDict) -> Pixels:
        """Return held-out frames with the people on green by the mask (left) and the alpha."""
        rows = []
        for sample in self.held_out_samples(_SAMPLES, FrameSize(*self.section.sizes[0])):
            logits = generators["masker"](to_tensor([sample.frame]).to(self.device))
            mask = logits[0, 0].float().sigmoid().cpu().numpy()
            exact = sample.alpha.astype(np.float32) / np.float32(255)
            rows.append(np.hstack([sample.frame, *(_on_green(sample, m) for m in (mask, exact))]))
        return np.vstack(rows)

    def held_out_samples(
        self, count: int, size: FrameSize, people: int | None = None
    ) -> list[MaskSample]:
        """Return samples that are never trained on, always the same ones.

        Args:
            count: how many.
            size: of each.
            people: how many are in each; None draws that.
        """
        return [
            self.held_out.draw(size, sample_random(self.recipe.seed, 0, number, 7), people)
            for number in range(count)
        ]

    def start_from_model(self, networks: Sequence[nn.ModuleDict], path: Path) -> dict[str, Any]:
        """Give each of ``networks`` the weights of an exported mask network.

        Returns:
            What was taken, as plain values.

        Raises:
            TrainingError: the file is of another kind or shape.
            ModelError: it is no mask network.
        """
        spec = load_mask_model(path).spec
        frames = self.make_batch(0, range(_NORMALISED_ON))["frame"]
        assert isinstance(frames, Tensor)
        for group in networks:
            masker = group["masker"]
            assert isinstance(masker, MaskNetwork)
            masker.load_state_dict(state_of(path, masker, frames.to(self.device)))
        return {"model": spec.name, "recipe_hash": spec.recipe_hash}

    def check(self) -> list[str]:
        """Cut everybody out and say what there is."""
        people = cut_out_all(self.people, self.teacher)
        places = PictureSet(self.places, _PLACES_SHORT_SIDE)
        places.check()
        return [
            f"people: {len(people)} of {len(self.people)} pictures to train on, "
            f"{len(self.people_held_out)} held out",
            f"places: {len(places)} pictures to train on, {len(places.broken)} broken, "
            f"{len(self.places_held_out)} held out",
        ]


def _divide(
    places: Sequence[str],
    hold_out: int,
    taken: set[Path] | None = None,
    left_out: Sequence[str] = (),
) -> tuple[list[Path], list[Path]]:
    """Return the pictures to train on and those held out, ``hold_out`` of each folder."""
    training: list[Path] = []
    held_out: list[Path] = []
    unwanted = {path for place in left_out for path in find_pictures(expand_path(place))}
    for place in places:
        found = find_pictures(expand_path(place))
        wanted = [path for path in found if path not in (taken or set()) and path not in unwanted]
        single = len(found) == 1
        kept, out = (wanted, []) if single else split_held_out(wanted, hold_out)
        training += kept
        held_out += out
    return training, held_out


def _on_green(
    sample: MaskSample, mask: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> Pixels:
    share = mask[..., None]
    mixed = sample.frame * share + np.array([0, 255, 0], np.float32) * (1 - share)
    return np.asarray(mixed + 0.5, np.uint8)
