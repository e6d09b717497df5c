"""Pairs of consecutive frames of real clips, and where each pixel of the one is in the other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.datasets import cut_crop, sample_random
from obs_stylizer.training.flow import Flow, consistent, follow, optical_flow
from obs_stylizer.training.pictures import files_in, scale_to_short_side
from obs_stylizer.training.recipe import DataRecipe, Recipe, expand_path

logger = logging.getLogger(__name__)

SUFFIXES: Final = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm"})
KEPT_BYTES: Final = 600_000_000
"""For the pairs of all clips together."""
LONGEST_CLIP: Final = 20_000
"""Frames of a clip that are looked at, so that a long film does not hold up the training."""
LARGEST_CHANGE: Final = 30
"""Levels of 255 that a pixel may differ by, on average over the colours, from where it came
from. In flat areas a flow of nothing agrees with itself even across a cut."""
LEAST_SEEN: Final = 0.25
"""Share of a pair that must be seen in both frames; under it the scene was cut between them."""
_PURPOSE: Final = 1_000_000


@dataclass(frozen=True)
class ClipPair:
    """A crop of two consecutive frames.

    Attributes:
        before: uint8 (crop, crop, 3).
        now: the same place one frame later.
        back: where each pixel of ``now`` was in ``before``, float32 (crop, crop, 2), x and y.
        seen: bool (crop, crop), where that is known; nowhere, across a cut.
    """

    before: Pixels
    now: Pixels
    back: Flow
    seen: NDArray[np.bool_]


class ClipPairs:
    """Pairs of frames of some clips, decoded when first used.

    A broken clip is named in the log, counted in ``broken`` and left out.

    Args:
        paths: video files.
        longest_short_side: larger frames are scaled down to it.
    """

    def __init__(self, paths: Sequence[Path], longest_short_side: int) -> None:
        self.paths = tuple(paths)
        self.broken: list[Path] = []
        self._short_side = longest_short_side

    @classmethod
    def of(cls, recipe: DataRecipe) -> ClipPairs | None:
        """Find the clips that ``recipe`` names; None where it names none.

        Raises:
            TrainingError: a file or folder is missing, or there is no clip in it.
        """
        if not recipe.clips:
            return None
        found = [path for place in recipe.clips for path in find_clips(expand_path(place))]
        return cls(found, recipe.short_side[1])

    def check(self) -> str:
        """Decode every clip and return a line that describes them.

        Raises:
            TrainingError: not one of them can be read.
        """
        usable = len(self.paths) - len(self.broken) if self._pairs else 0
        return f"clips: {usable} clips, {len(self._pairs)} pairs of frames"

    def draw(self, random: np.random.Generator, crop: int, short_side: tuple[int, int]) -> ClipPair:
        """Return a pair at random, cut as a training sample is.

        Raises:
            TrainingError: not one of the clips can be read.
        """
        joined = self._pairs[int(random.integers(len(self._pairs)))]
        cut = cut_crop(joined, random, crop, short_side)
        before, now = (np.ascontiguousarray(cut[..., part : part + 3]) for part in (0, 3))
        back, forth = optical_flow(now, before), optical_flow(before, now)
        seen = consistent(back, forth) & _alike(before, now, back)
        if seen.mean() < LEAST_SEEN:
            seen = np.zeros_like(seen)
        return ClipPair(before, now, back, seen)

    def batch(self, recipe: Recipe, step: int, samples: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return the pairs that belong to these samples of the joint batch of ``step``.

        Returns:
            ``clip_before`` and ``clip_now``, float32 (B, 3, crop, crop), 0 to 1; ``clip_back``,
            float32 (B, crop, crop, 2); ``clip_seen``, float32 (B, 1, crop, crop), 0 or 1.
        """
        data = recipe.data
        pairs = [
            self.draw(
                sample_random(recipe.seed, step, number, _PURPOSE), data.crop, data.short_side
            )
            for number in samples
        ]
        stacked = {
            name: torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs]))
            for name in ("before", "now", "back", "seen")
        }
        return {
            "clip_before": stacked["before"].movedim(-1, 1).float() / 255.0,
            "clip_now": stacked["now"].movedim(-1, 1).float() / 255.0,
            "clip_back": stacked["back"],
            "clip_seen": stacked["seen"].unsqueeze(1).float(),
        }

    @cached_property
    def _pairs(self) -> list[Pixels]:
        """The pairs, uint8 (height, width, 6) each, earlier frame first."""
        pairs: list[Pixels] = []
        for path in self.paths:
            try:
                pairs += _pairs_of(path, self._short_side, KEPT_BYTES // len(self.paths))
            except TrainingError as problem:
                logger.warning("skipped: %s", problem)
                self.broken.append(path)
        if not pairs:
            raise TrainingError(
                f"none of the {len(self.paths)} clips can be read, among them {self.paths[0]}"
            )
        return pairs


def find_clips(place: Path) -> list[Path]:
    """Return the video files in the folder ``place``, sorted, or ``place`` if it is a file.

    Raises:
        TrainingError: there is no such place, or no clip in it.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise TrainingError(f"there is no clip and no folder {place}", "check data.clips")
    found = files_in(place, lambda path: path.suffix.lower() in SUFFIXES)
    if not found:
        raise TrainingError(f"there are no clips in {place}", "put some there")
    return found


def _alike(before: Pixels, now: Pixels, back: Flow) -> NDArray[np.bool_]:
    """Return where ``now`` looks as ``before`` does at the place it came from: bool (H, W)."""
    change = np.abs(follow(before.astype(np.float32), back) - now).mean(-1)
    return np.asarray(change < LARGEST_CHANGE)


def _pairs_of(path: Path, short_side: int, room: int) -> list[Pixels]:
    """Return pairs spread evenly over the clip at ``path`` that take up to ``room`` bytes.

    Raises:
        TrainingError: it cannot be read, or has fewer than two frames.
    """
    kept: list[Pixels] = []
    every, before = 1, None
    for number, frame in enumerate(_frames_of(path)):
        if number == LONGEST_CLIP:
            logger.info("%s: only the first %d frames are used", path, LONGEST_CLIP)
            break
        scaled = (
            scale_to_short_side(frame, short_side) if min(frame.shape[:2]) > short_side else frame
        )
        if before is not None and before.shape == scaled.shape and (number - 1) % every == 0:
            kept.append(np.concatenate([before, scaled], axis=2))
            if len(kept) > 1 and len(kept) * kept[0].nbytes > room:
                kept, every = kept[::2], every * 2
        before = scaled
    if not kept:
        raise TrainingError(f"the clip {path} has fewer than two frames")
    return kept


def _frames_of(path: Path) -> Iterator[Pixels]:
    """Yield the frames of the clip at ``path``, uint8 (height, width, 3)."""
    import av

    try:
        with av.open(str(path)) as container:
            frame: Any
            for frame in container.decode(video=0):
                yield np.ascontiguousarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (OSError, IndexError, av.error.FFmpegError) as cause:
        raise TrainingError(f"the clip {path} cannot be read: {cause}") from cause
