"""The paired objective: pictures whose targets stand in a folder, or are made by a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.datasets import PairedPictures, cut_crop
from obs_stylizer.training.objectives.translation import TranslationObjective
from obs_stylizer.training.pictures import fit_frame, read_picture
from obs_stylizer.training.recipe import Recipe, expand_path
from obs_stylizer.training.taught_pictures import TaughtPictures
from obs_stylizer.training.teachers import build_teacher


class PairedObjective(TranslationObjective):
    """Trains a generator to make the target of each picture.

    Raises:
        TrainingError: content, targets or teacher cannot be used.
    """

    def __init__(self, recipe: Recipe, device: torch.device, features: Path | None = None) -> None:
        if recipe.paired is None:
            raise TrainingError(f"the recipe {recipe.name} has no section paired")
        super().__init__(recipe, recipe.paired, device, features)
        model = recipe.paired.teacher_model
        self.teacher = build_teacher(
            recipe.paired, expand_path(model) if model is not None else None
        )
        self.pairs = (
            PairedPictures.of(
                [*self.content.training.paths, *self.content.held_out],
                expand_path(recipe.paired.targets),
                recipe.data.short_side[1],
            )
            if recipe.paired.targets is not None
            else None
        )

        self.taught: TaughtPictures | None = None
        section = recipe.paired
        if section.teacher_sizes and self.teacher is not None:
            if min(section.teacher_sizes) < recipe.data.crop:
                raise TrainingError(
                    f"paired.teacher_sizes has {min(section.teacher_sizes)}, less than data.crop"
                )
            self.taught = TaughtPictures(
                self.content.training.paths,
                section.teacher_sizes,
                self.teacher,
                section.teacher or "model",
                None if section.kept_targets is None else expand_path(section.kept_targets),
            )

    def draw_pair(self, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Return a crop and its target; exposure varies only where a teacher sees each crop."""
        data = self.recipe.data
        if self.taught is not None:
            whole = self.taught.draw(random)
            short = min(whole.shape[:2])
            cut = cut_crop(whole, random, data.crop, (short, short))
            return np.ascontiguousarray(cut[..., :3]), np.ascontiguousarray(cut[..., 3:])
        if self.teacher is not None:
            source = self.content.crop(data, random)
            return source, self.teacher(source)
        assert self.pairs is not None
        joined = self.pairs.draw(random, len(self.content.training))
        cut = cut_crop(joined, random, data.crop, data.short_side)
        return np.ascontiguousarray(cut[..., :3]), np.ascontiguousarray(cut[..., 3:])

    def whole_pair(self, path: Path, size: FrameSize) -> tuple[Pixels, Pixels]:
        """Return the picture at ``path`` and its target; see the base class."""
        source = fit_frame(read_picture(path), size)
        if self.teacher is not None:
            return source, self.teacher(source)
        assert self.pairs is not None
        return source, fit_frame(read_picture(self.pairs.target_of(path)), size)

    def check(self) -> list[str]:
        """Read every picture and target once and say what there is."""
        lines = super().check()
        if self.taught is not None:
            self.taught.prepare()
            broken = len(self.taught.broken)
            lines.append(f"targets: {len(self.taught) - broken} made, {broken} failed")
        if self.pairs is not None:
            self.pairs.check()
            lines.append(f"targets: {len(self.pairs.paths) - len(self.pairs.broken)} that fit")
        return lines
