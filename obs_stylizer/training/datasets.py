"""Samples for training: which pictures there are and how a crop is cut from one.

Every random choice for a sample comes from a generator seeded with the run's seed, the step and
the sample's number in the joint batch. A batch is therefore a pure function of the step: a
resumed run needs no state of its data, and several processes see exactly the samples that one
process would have seen.
"""

from __future__ import annotations

import logging
import unicodedata
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.pictures import (
    find_pictures,
    read_picture,
    resize,
    scale_to_short_side,
    split_held_out,
)
from obs_stylizer.training.recipe import DataRecipe, expand_path

logger = logging.getLogger(__name__)

CACHE_BYTES: Final = 1_500_000_000


def sample_random(seed: int, step: int, sample: int, purpose: int = 0) -> np.random.Generator:
    """Return the random numbers for one sample of one step and one purpose."""
    return np.random.default_rng((seed, step, sample, purpose))


class PictureSet:
    """Pictures of some folders, decoded when first used and kept while memory allows.

    A broken picture is named in the log, counted in ``broken`` and skipped.
    """

    def __init__(self, paths: list[Path], longest_short_side: int) -> None:
        if not paths:
            raise TrainingError("there are no pictures to train on")
        self.paths = list(paths)
        self.broken: list[Path] = []
        self._unusable: set[Path] = set()
        self._short_side = longest_short_side
        self._kept: OrderedDict[Path, Pixels] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def draw(self, random: np.random.Generator, among: int | None = None) -> Pixels:
        """Return a picture at random, uint8 (height, width, 3).

        Args:
            random: source of the choice.
            among: draw only from this many of the first; None for all.

        Raises:
            TrainingError: not one of the pictures can be read.
        """
        count = len(self.paths) if among is None else among
        start = int(random.integers(count))
        # A broken picture hands over to the next one, so that the choice stays a function of
        # the random numbers alone, however far this process has read already.
        for offset in range(count):
            picture = self._load(self.paths[(start + offset) % count])
            if picture is not None:
                return picture
        raise TrainingError(f"none of the {count} pictures can be read, among them {self.paths[0]}")

    def check(self) -> None:
        """Read every picture once, so that broken ones are known before the training.

        Raises:
            TrainingError: not one of the pictures can be read.
        """
        for path in self.paths:
            self._load(path)
        if len(self.broken) == len(self.paths):
            raise TrainingError(f"none of the {len(self.paths)} pictures can be read")

    def _load(self, path: Path) -> Pixels | None:
        kept = self._kept.get(path)
        if kept is not None:
            self._kept.move_to_end(path)
            return kept
        if path in self._unusable:
            return None
        try:
            picture = self._read(path)
        except TrainingError as problem:
            logger.warning("skipped: %s", problem)
            self.broken.append(path)
            self._unusable.add(path)
            return None
        # Pixels beyond the largest scale a recipe asks for would only cost memory.
        if min(picture.shape[:2]) > self._short_side:
            picture = scale_to_short_side(picture, self._short_side)
        self._kept[path] = picture
        self._kept_bytes += picture.nbytes
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return picture

    def _read(self, path: Path) -> Pixels:
        return read_picture(path)


def cut_crop(
    picture: Pixels, random: np.random.Generator, crop: int, short_side: tuple[int, int]
) -> Pixels:
    """Cut a square of side ``crop`` from ``picture`` at a random scale, place and mirroring.

    Args:
        picture: uint8 (height, width, 3 or 6) of any size from 1x1.
        random: source of the choices.
        crop: side of the result.
        short_side: range of the short side the whole picture is scaled to; log-uniform.

    Returns:
        uint8 (crop, crop, 3 or 6), C-contiguous.
    """
    height, width = picture.shape[:2]
    low, high = short_side
    target = float(np.exp(random.uniform(np.log(low), np.log(high)))) if high > low else low
    side = max(1, min(height, width, round(crop * min(height, width) / target)))
    top = int(random.integers(height - side + 1))
    left = int(random.integers(width - side + 1))
    window = picture[top : top + side, left : left + side]
    how = cv2.INTER_AREA if side > crop else cv2.INTER_LINEAR
    result = resize(window, (crop, crop), how)
    if random.random() < 0.5:
        result = result[:, ::-1]
    return np.ascontiguousarray(result, dtype=np.uint8)


def vary_exposure(picture: Pixels, random: np.random.Generator, amount: float) -> Pixels:
    """Return ``picture`` with gamma and brightness changed by up to ``amount``, as cameras do."""
    if not amount:
        return picture
    gamma = float(np.exp(random.uniform(-amount, amount)))
    gain = float(np.exp(random.uniform(-amount, amount)))
    levels = np.clip((np.arange(256) / 255.0) ** gamma * gain, 0, 1) * 255.0 + 0.5
    return np.ascontiguousarray(cv2.LUT(picture, levels.astype(np.uint8)), dtype=np.uint8)


@dataclass(frozen=True)
class ContentPictures:
    """The pictures of a recipe's data section."""

    training: PictureSet
    held_out: tuple[Path, ...]

    @classmethod
    def of(cls, recipe: DataRecipe) -> ContentPictures:
        """Find the pictures that ``recipe`` names.

        Raises:
            TrainingError: a folder is missing or empty, or nothing is left to train on.
        """
        training: list[Path] = []
        held_out: list[Path] = []
        for place in map(expand_path, recipe.content):
            # Nothing is held out of a picture that is named by itself.
            hold_out = 0 if place.is_file() else recipe.hold_out
            kept, out = split_held_out(find_pictures(place), hold_out)
            training += kept
            held_out += out
        return cls(PictureSet(training, recipe.short_side[1]), tuple(held_out))

    def crop(self, recipe: DataRecipe, random: np.random.Generator) -> Pixels:
        """Return one training sample, uint8 (crop, crop, 3)."""
        picture = self.training.draw(random)
        sample = cut_crop(picture, random, recipe.crop, recipe.short_side)
        return vary_exposure(sample, random, recipe.exposure)


class PairedPictures(PictureSet):
    """Pictures with their targets, uint8 (height, width, 6), source first.

    A pair whose halves are of different sizes is treated like a broken picture.
    """

    def __init__(self, targets: dict[Path, Path], longest_short_side: int) -> None:
        super().__init__(list(targets), longest_short_side)
        self._targets = targets

    @classmethod
    def of(cls, sources: list[Path], folder: Path, longest_short_side: int) -> PairedPictures:
        """Find the target of each of ``sources`` in ``folder``: the picture of the same stem.

        Raises:
            TrainingError: there is no such folder, or a source has no target.
        """
        by_stem = {_stem(path): path for path in find_pictures(folder)}
        missing = [path for path in sources if _stem(path) not in by_stem]
        if missing:
            raise TrainingError(
                f"{len(missing)} pictures have no target in {folder}, among them {missing[0]}",
                "targets have the name of their picture, with any suffix",
            )
        return cls({path: by_stem[_stem(path)] for path in sources}, longest_short_side)

    def target_of(self, path: Path) -> Path:
        """Return the target's path.

        Raises:
            TrainingError: ``path`` is none of the sources.
        """
        if path not in self._targets:
            raise TrainingError(f"{path} has no target", "evaluate on the recipe's own content")
        return self._targets[path]

    def _read(self, path: Path) -> Pixels:
        source, target = read_picture(path), read_picture(self._targets[path])
        if source.shape != target.shape:
            raise TrainingError(
                f"{path} is {source.shape[1]}x{source.shape[0]} but its target "
                f"{target.shape[1]}x{target.shape[0]}"
            )
        return np.concatenate([source, target], axis=2)


def _stem(path: Path) -> str:
    """Return the name of a picture without its suffix; a Mac may take accents apart."""
    return unicodedata.normalize("NFC", path.stem)
