"""Samples for the mask network: people pasted into other places, with the exact alpha."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.training.datasets import PictureSet, vary_exposure
from obs_stylizer.training.degradations import compress, downscale
from obs_stylizer.training.objective_recipes import SegmentationRecipe
from obs_stylizer.training.segmentation.appearance import (
    recoloured,
    redressed,
    relit,
    with_hand,
    with_headphones,
)
from obs_stylizer.training.segmentation.cutouts import Cutout, surroundings
from obs_stylizer.training.segmentation.rooms import draw_chair, draw_room

Floats = NDArray[np.float32]

_EXPOSURE: Final = 0.2
_NECK: Final = 0.25
"""Height of the neck above the lower edge of a portrait, as a share of its height."""


@dataclass(frozen=True)
class MaskSample:
    """A frame, uint8 (H, W, 3), and its people's alpha, uint8 (H, W)."""

    frame: Pixels
    alpha: Pixels

    def mirrored(self) -> MaskSample:
        """Return it with left and right exchanged."""
        return MaskSample(
            np.ascontiguousarray(self.frame[:, ::-1]), np.ascontiguousarray(self.alpha[:, ::-1])
        )


class Composites:
    """Draws samples.

    Args:
        people: cut-outs.
        places: photographs without people.
        recipe: how often what happens.
    """

    def __init__(
        self, people: Sequence[Cutout], places: PictureSet, recipe: SegmentationRecipe
    ) -> None:
        self.people = list(people)
        free = [surroundings(entry) for entry in self.people]
        self._surroundings = [picture for picture in free if picture is not None]
        self._places, self._recipe = places, recipe
        self._halved = [
            [(entry.people, entry.alpha), *_halved(entry.people, entry.alpha, 2)]
            for entry in self.people
        ]

    def draw(
        self, size: FrameSize, random: np.random.Generator, people: int | None = None
    ) -> MaskSample:
        """Return a sample.

        Args:
            size: of it.
            random: source of all choices.
            people: how many to paste; None draws that, and may leave a photograph as it is.
        """
        return self.through_a_camera(self.draw_scene(size, random, people), random)

    def draw_scene(
        self, size: FrameSize, random: np.random.Generator, people: int | None = None
    ) -> MaskSample:
        """Return a sample that no camera has spoilt yet; arguments as for :meth:`draw`."""
        kind = random.random()
        if people is None and kind < self._recipe.photographs:
            frame, alpha = self._photograph(size, random)
        else:
            count = people
            if count is None:
                count = int(random.choice(4, p=self._recipe.counts))
            frame, alpha = self._composite(size, random, count)
        return MaskSample(frame, _rounded(alpha))

    def _photograph(self, size: FrameSize, random: np.random.Generator) -> tuple[Pixels, Floats]:
        """Return a window of a photograph of people, with what the teacher sees in it."""
        entry = self.people[int(random.integers(len(self.people)))]
        height, width = entry.alpha.shape
        scale = random.uniform(0.55, 1.0) * min(width / size.width, height / size.height)
        across, down = int(size.width * scale), int(size.height * scale)
        left = int(random.integers(width - across + 1))
        top = int(random.integers(height - down + 1))
        window = np.s_[top : top + down, left : left + across]
        frame = cv2.resize(
            entry.photograph[window], (size.width, size.height), interpolation=cv2.INTER_AREA
        )
        alpha = cv2.resize(
            entry.alpha[window], (size.width, size.height), interpolation=cv2.INTER_AREA
        )
        if random.random() < 0.5:
            frame, alpha = frame[:, ::-1], alpha[:, ::-1]
        return np.ascontiguousarray(frame, np.uint8), alpha.astype(np.float32) / 255

    def _composite(
        self, size: FrameSize, random: np.random.Generator, count: int
    ) -> tuple[Pixels, Floats]:
        frame = self._place(size, random)
        alpha = np.zeros((size.height, size.width), np.float32)
        middles = [
            random.uniform(0.3, 0.7)
            if number == 0 and random.random() < 0.85
            else random.uniform(0, 1)
            for number in range(count)
        ]
        # All chairs stand behind all people: none may hide what the alpha says is to be seen.
        for across in middles:
            if random.random() < 0.2:
                draw_chair(frame, random, across + random.uniform(-0.05, 0.05))
        for across in middles:
            frame, alpha = self._paste(frame, alpha, random, across, count)
        if count and random.random() < 0.08:
            frame, alpha = with_hand(frame, alpha, random)
        if random.random() < 0.04:
            frame, alpha = self._cover(frame, alpha, random)
        return frame, alpha

    def _place(self, size: FrameSize, random: np.random.Generator) -> Pixels:
        """Return a place without people: a window of a photograph, or a drawn room."""
        kind = random.random()
        if kind < self._recipe.rooms:
            return draw_room(size, random)
        if self._surroundings and kind < self._recipe.rooms + self._recipe.surroundings:
            picture = self._surroundings[int(random.integers(len(self._surroundings)))]
        else:
            picture = self._places.draw(random)
        height, width = picture.shape[:2]
        scale = random.uniform(0.4, 1.0) * min(width / size.width, height / size.height)
        across, down = max(1, int(size.width * scale)), max(1, int(size.height * scale))
        left = int(random.integers(width - across + 1))
        top = int(random.integers(height - down + 1))
        window = picture[top : top + down, left : left + across]
        frame = cv2.resize(window, (size.width, size.height), interpolation=cv2.INTER_AREA)
        if random.random() < 0.5:
            frame = frame[:, ::-1]
        if random.random() < 0.4:
            frame = cv2.GaussianBlur(frame, (0, 0), random.uniform(0.5, 4))
        if random.random() < self._recipe.recoloured:
            frame = recoloured(np.asarray(frame, np.uint8), random, 180)
        return vary_exposure(np.ascontiguousarray(frame, np.uint8), random, _EXPOSURE)

    def _paste(
        self,
        frame: Pixels,
        alpha: Floats,
        random: np.random.Generator,
        across: float,
        count: int,
    ) -> tuple[Pixels, Floats]:
        height, width = frame.shape[:2]
        levels = self._halved[int(random.integers(len(self._halved)))]
        full = levels[0][1].shape[0]
        # Somebody alone sits at a desk; several sit further away, and some stand far off. A head
        # takes about half of a cut-out's height.
        far = random.random() < self._recipe.far
        least, largest = (0.4, 0.65) if far else (0.65, 1.6) if count == 1 else (0.55, 1.25)
        wanted = height * math.exp(random.uniform(math.log(least), math.log(largest)))
        scale = wanted / full
        level = min(len(levels) - 1, max(0, int(-math.log2(max(scale, 1e-3)))))
        people, own = levels[level]
        rows, columns = own.shape
        scale = wanted / rows
        turn = math.radians(random.normal(0, 6))
        flip = -1.0 if random.random() < 0.5 else 1.0
        cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
        # The lower edge of a cut-out, where the photograph ended, lies below the frame.
        bottom = height + random.uniform(0, 0.15) * wanted + abs(sine) * columns / 2
        wide = math.exp(random.normal(0, 0.06))
        matrix = np.array(
            [[cosine * flip * wide, -sine, 0], [sine * flip * wide, cosine, 0]], np.float32
        )
        anchor = matrix[:, :2] @ np.array([columns / 2, rows], np.float32)
        matrix[:, 2] = np.array([across * width, bottom], np.float32) - anchor
        to = (width, height)
        moved = cv2.warpAffine(people, matrix, to, flags=cv2.INTER_LINEAR)
        covered = cv2.warpAffine(own, matrix, to, flags=cv2.INTER_LINEAR).astype(np.float32) / 255
        moved = np.ascontiguousarray(moved, np.uint8)
        if random.random() < self._recipe.recoloured:
            moved = redressed(moved, random, bottom - _NECK * wanted, _NECK * wanted / 4)
        moved = relit(moved, random)
        if random.random() < self._recipe.headphones:
            moved, covered = with_headphones(moved, covered, random)
        shares = covered[..., None]
        mixed = moved * shares + frame * (1 - shares)
        return np.asarray(mixed + 0.5, np.uint8), covered + alpha * (1 - covered)

    def _cover(
        self, frame: Pixels, alpha: Floats, random: np.random.Generator
    ) -> tuple[Pixels, Floats]:
        """Hold something before the people: a cup, a microphone, a leaf."""
        height, width = alpha.shape
        shape = np.zeros((height, width), np.uint8)
        points = random.uniform(0, 1, (int(random.integers(4, 9)), 2)) * random.uniform(0.1, 0.4)
        place = random.uniform((0.1, 0.6), (0.8, 0.95))
        outline = ((points + place) * (width, height)).astype(np.int32)
        cv2.fillPoly(shape, [cv2.convexHull(outline)], 255, cv2.LINE_AA)
        share = shape.astype(np.float32)[..., None] / np.float32(255)
        size = FrameSize(width, height)
        covered = self._place(size, random) * share + frame * (1 - share)
        return np.asarray(covered + 0.5, np.uint8), np.asarray(alpha * (1 - share[..., 0]))

    def through_a_camera(self, scene: MaskSample, random: np.random.Generator) -> MaskSample:
        """Return what a camera makes of it: light, blur, noise and compression."""
        alpha = scene.alpha.astype(np.float32) / np.float32(255)
        frame = vary_exposure(scene.frame, random, _EXPOSURE)
        if random.random() < 0.25:
            frame = relit(frame, random)
        picture = frame.astype(np.float32)
        if random.random() < 0.35:
            sigma = random.uniform(0.3, 1.3)
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32)
        if random.random() < 0.15:
            picture = downscale(picture, random.uniform(1, 2))
        if random.random() < 0.06:
            picture[:] = picture.mean(2, keepdims=True)
        if random.random() < 0.7:
            noise = random.standard_normal(picture.shape, dtype=np.float32)
            picture += noise * (255 * random.uniform(0, self._recipe.noise))
        made: Pixels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        if random.random() < 0.35:
            made = compress(made, int(random.integers(35, 96)))
        return MaskSample(made, _rounded(alpha))


def _rounded(alpha: Floats) -> Pixels:
    rounded: Pixels = (np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def _halved(people: Pixels, alpha: Pixels, times: int) -> list[tuple[Pixels, Pixels]]:
    """Return smaller copies, each of half the size of the one before."""
    found = []
    for _ in range(times):
        height, width = alpha.shape
        side = (width // 2, height // 2)
        people = np.asarray(cv2.resize(people, side, interpolation=cv2.INTER_AREA), np.uint8)
        alpha = np.asarray(cv2.resize(alpha, side, interpolation=cv2.INTER_AREA), np.uint8)
        found.append((people, alpha))
    return found
