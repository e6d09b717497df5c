"""Whole pictures with what a slow teacher makes of them, each made once and kept."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.datasets import PictureSet
from obs_stylizer.training.pictures import read_picture, scale_to_short_side
from obs_stylizer.training.teachers import Teacher

logger = logging.getLogger(__name__)


class TaughtPictures(PictureSet):
    """Pairs of a picture at a fixed size and its target, uint8 (height, width, 6), source first.

    A teacher that takes seconds cannot be asked at every sample, and one that looks at a whole
    picture (an even lightness, long lines) must not be shown crops. A picture on which the
    teacher fails is named in the log, counted in ``broken`` and skipped, as one that cannot be
    read.

    Args:
        paths: pictures.
        sizes: short sides, in pixels, that each is shown at.
        teacher: makes the targets.
        name: of the teacher, for the names of kept files.
        folder: where targets are kept from one training to the next; None keeps them in memory.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sizes: Sequence[int],
        teacher: Teacher,
        name: str,
        folder: Path | None = None,
    ) -> None:
        self._asked = {
            path.with_name(f"{path.name} at {size}"): (path, size)
            for path in paths
            for size in sizes
        }
        super().__init__(list(self._asked), max(sizes))
        self._teacher, self._name, self._folder = teacher, name, folder

    def prepare(self, workers: int | None = None) -> None:
        """Make every target now, on several threads, where they are kept in a folder.

        Raises:
            TrainingError: not one of the pictures can be used.
        """
        if self._folder is not None:
            with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
                for number, _ in enumerate(pool.map(self._try, self.paths), 1):
                    if number % 20 == 0 or number == len(self.paths):
                        logger.info("%s: %d of %d targets", self._name, number, len(self.paths))
        self.check()

    def _try(self, entry: Path) -> None:
        try:
            self._read(entry)
        except TrainingError:
            logger.debug("%s has no target", entry)

    def _read(self, entry: Path) -> Pixels:
        path, size = self._asked[entry]
        source = scale_to_short_side(read_picture(path), size)
        kept = self._kept_file(source)
        target = _read_kept(kept, source)
        if target is None:
            try:
                target = self._teacher(source)
            except Exception as cause:
                raise TrainingError(
                    f"the teacher {self._name} fails on {path}: {type(cause).__name__}: {cause}"
                ) from cause
            if kept is not None:
                _keep(kept, target)
        return np.concatenate([source, target], axis=2)

    def _kept_file(self, source: Pixels) -> Path | None:
        if self._folder is None:
            return None
        digest = hashlib.sha256(source.tobytes() + str(source.shape).encode()).hexdigest()
        return self._folder / f"{self._name}-{digest[:24]}.png"


def _read_kept(path: Path | None, source: Pixels) -> Pixels | None:
    if path is None or not path.is_file():
        return None
    kept = read_picture(path)
    return kept if kept.shape == source.shape else None


def _keep(path: Path, target: Pixels) -> None:
    encoded = cv2.imencode(".png", cv2.cvtColor(target, cv2.COLOR_RGB2BGR))[1]
    part = path.with_suffix(f".{os.getpid()}-{id(target)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(encoded.tobytes())
        part.replace(path)
    except OSError as cause:
        raise TrainingError(f"{path} cannot be written: {cause.strerror or cause}") from cause
