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
from obs_stylizer.training.segmentation.cutouts import Cutout
from obs_stylizer.training.segmentation.rooms import draw_chair, draw_room

Floats = NDArray[np.float32]

_EXPOSURE: Final = 0.2


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
        middle = random.uniform(0.3, 0.7)
        for number in range(count):
            across = middle if number == 0 else random.uniform(-0.05, 1.05)
            if number == 0 and random.random() < 0.2:
                across = random.uniform(-0.1, 1.1)
            if random.random() < 0.2:
                draw_chair(frame, random, across + random.uniform(-0.05, 0.05))
            frame, alpha = self._paste(frame, alpha, random, across, count)
        if count and random.random() < 0.15:
            frame, alpha = _with_hand(frame, alpha, random)
        if random.random() < 0.04:
            frame, alpha = self._cover(frame, alpha, random)
        return frame, alpha

    def _place(self, size: FrameSize, random: np.random.Generator) -> Pixels:
        """Return a place without people: a window of a photograph, or a drawn room."""
        if random.random() < self._recipe.rooms:
            return draw_room(size, random)
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
        # Somebody alone sits at a desk; several sit further away.
        least, largest = (0.6, 1.8) if count == 1 else (0.45, 1.3)
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
        bottom = height + random.uniform(0, 0.35) * wanted + abs(sine) * columns / 2
        matrix = np.array([[cosine * flip, -sine, 0], [sine * flip, cosine, 0]], np.float32)
        anchor = matrix[:, :2] @ np.array([columns / 2, rows], np.float32)
        matrix[:, 2] = np.array([across * width, bottom], np.float32) - anchor
        to = (width, height)
        moved = cv2.warpAffine(people, matrix, to, flags=cv2.INTER_LINEAR)
        covered = cv2.warpAffine(own, matrix, to, flags=cv2.INTER_LINEAR).astype(np.float32) / 255
        moved = _relit(np.ascontiguousarray(moved, np.uint8), random)
        if random.random() < self._recipe.headphones:
            moved, covered = _with_headphones(moved, covered, random)
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
            frame = _relit(frame, random)
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


def _relit(picture: Pixels, random: np.random.Generator) -> Pixels:
    """Return ``picture`` in light of another colour, stronger on one side."""
    height, width = picture.shape[:2]
    corners = random.uniform(0.75, 1.2, (2, 2)).astype(np.float32)
    light = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    tint = np.exp(random.normal(0, 0.07, 3)).astype(np.float32)
    gamma = math.exp(random.uniform(-0.2, 0.2))
    levels = ((np.arange(256) / 255) ** gamma * 255).astype(np.float32)
    lit: Pixels = np.clip(levels[picture] * light[..., None] * tint, 0, 255).astype(np.uint8)
    return lit


def _with_hand(frame: Pixels, alpha: Floats, random: np.random.Generator) -> tuple[Pixels, Floats]:
    """Raise a hand of the colour of the people's own skin, or sleeve, before or beside them."""
    height, width = alpha.shape
    rows, columns = np.nonzero(alpha > 0.9)
    if len(rows) < 200:
        return frame, alpha
    picked = int(random.integers(len(rows)))
    colour = frame[rows[picked], columns[picked]].astype(np.float64)
    unit = height * random.uniform(0.03, 0.08)
    palm = np.array([columns[picked], rows[picked]]) + random.normal(0, 2 * unit, 2)
    elbow = np.array([palm[0] + random.normal(0, 4 * unit), height + 4 * unit])
    drawn = np.zeros((height, width), np.uint8)

    def limb(start: np.ndarray, end: np.ndarray, thickness: float) -> None:
        ends = [tuple(int(value) for value in np.round(point)) for point in (start, end)]
        cv2.line(drawn, ends[0], ends[1], 255, max(1, round(thickness)), cv2.LINE_AA)

    limb(palm, elbow, 1.6 * unit)
    limb(palm, palm - [0, unit], 2.2 * unit)
    turned = random.normal(0, 0.4)
    for finger in range(5):
        angle = turned + (finger - 2) * random.uniform(0.12, 0.3)
        reach = np.array([math.sin(angle), -math.cos(angle)]) * unit * random.uniform(2, 3.2)
        limb(np.add(palm, [(finger - 2) * 0.4 * unit, -unit]), palm + reach, 0.6 * unit)
    share = np.asarray(cv2.GaussianBlur(drawn, (0, 0), 0.6)).astype(np.float32) / 255
    shade = random.uniform(0.8, 1.15, (3, 4)).astype(np.float32)
    light = cv2.resize(shade, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    skin = np.clip(light * colour.astype(np.float32), 0, 255)
    mixed = frame * (1 - share[..., None]) + skin * share[..., None]
    return np.asarray(mixed + 0.5, np.uint8), np.maximum(alpha, share)


def _with_headphones(
    people: Pixels, alpha: Floats, random: np.random.Generator
) -> tuple[Pixels, Floats]:
    """Put headphones on what is most likely a head: the upper end of the alpha."""
    rows = np.flatnonzero((alpha > 0.6).sum(1) > 3)
    if len(rows) == 0:
        return people, alpha
    top = int(rows[0])
    height = alpha.shape[0]
    level = min(height - 1, top + max(4, int(0.14 * height)))
    columns = np.flatnonzero(alpha[level] > 0.6)
    if len(columns) < 6:
        return people, alpha
    left, right = int(columns[0]), int(columns[-1])
    half, middle = (right - left) // 2, (left + right) // 2
    if half > 0.3 * alpha.shape[1]:
        return people, alpha
    people, drawn = people.copy(), np.zeros(alpha.shape, np.uint8)
    grey = int(random.choice([20, 40, 90, 220]))
    colour = np.clip(grey + random.normal(0, 15, 3), 0, 255)
    thick = max(1, int(half * random.uniform(0.08, 0.25)))
    cv2.ellipse(
        drawn,
        (middle, level),
        (half + thick, level - top + thick),
        0,
        180,
        360,
        255,
        thick,
        cv2.LINE_AA,
    )
    cup = (max(2, int(half * 0.22)), max(3, int(half * random.uniform(0.35, 0.55))))
    for across in (middle - half - thick // 2, middle + half + thick // 2):
        cv2.ellipse(drawn, (across, level), cup, 0, 0, 360, 255, -1, cv2.LINE_AA)
    share = drawn.astype(np.float32) / 255
    painted = people * (1 - share[..., None]) + colour.astype(np.float32) * share[..., None]
    return np.asarray(painted, np.uint8), np.maximum(alpha, share)
