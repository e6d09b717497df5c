"""Learning a painting of one frame, or of a few, well enough to carry it onto all others.

Patch-based training of a few pairs (Texler et al. 2020, "Interactive Video Stylization Using
Few-Shot Patch-Based Training"): a small generator sees nothing but crops of the painted frames,
moved, in other light and with noise, and learns from their distance to the same crops of the
paintings, by pixels and by features, and from a discriminator of patches. It knows no place in the
picture, so it paints what it has seen wherever that turns up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from obs_stylizer.errors import StylizerError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.locate import find_model
from obs_stylizer.training.bundled_data import bundled_features
from obs_stylizer.training.discriminators import build_discriminator
from obs_stylizer.training.exported_weights import weights_of
from obs_stylizer.training.generators import PictureGenerator, build_generator
from obs_stylizer.training.image_metrics import ssim
from obs_stylizer.training.keyframes import Keyframe
from obs_stylizer.training.losses.adversarial import discriminator_loss, generator_loss
from obs_stylizer.training.native import NativeGenerator
from obs_stylizer.training.optimization import MovingAverage, Precision
from obs_stylizer.training.recipe import DiscriminatorRecipe, GeneratorRecipe
from obs_stylizer.training.tensors import to_pixels, to_tensor

log = logging.getLogger(__name__)

GENERATOR: Final = GeneratorRecipe(
    kind="unet", channels=24, depth=2, gather=2, normalise=False, correction=True
)
"""Without norms: their statistics over a crop are others than over a frame."""
START: Final = "restore"
"""A bundled generator of that kind, whose pictures are nearly the frames themselves."""

_DISCRIMINATOR: Final = DiscriminatorRecipe(channels=(24, 48))
_FEATURES: Final = ("conv1_2", "conv2_2")
_CROP: Final = 128
_BATCH: Final = 4
_MARGIN: Final = 16
"""Pixels at each side of a crop that no loss sees: the generator takes its border for a frame's."""
_LEARNING_RATE: Final = 1.5e-3
_LAST_RATE: Final = 0.02
_WARM_UP: Final = 20
_STRUCTURE: Final = 0.03
_PERCEPTUAL: Final = 0.02
_PERCEPTUAL_EVERY: Final = 8
_ADVERSARIAL: Final = 5e-4
_ADVERSARIAL_EVERY: Final = 8
_AVERAGED: Final = 0.995
_SMOOTHED: Final = 0.02

_MOVED: Final = 0.3
"""Share of the crops that are turned and scaled; the rest keep every pixel sharp."""
_TURN: Final = math.radians(15)
_ZOOM: Final = math.log(1.25)
_LIGHT: Final = 0.1
_NOISE: Final = 0.02


@dataclass(frozen=True, slots=True)
class KeyframeProgress:
    """How far learning is.

    Attributes:
        step: updates done.
        difference: mean distance of the made crops from the painted ones, in levels of 255, over
            the last updates.
    """

    step: int
    difference: float


class KeyframeLearner:
    """Trains a generator of its own for a few painted frames.

    Args:
        keyframes: one or more.
        start: an exported generator of the same kind to begin from, such as the one that an
            earlier learning made; None for the bundled one.
        seed: of crops and weights.

    Raises:
        TrainingError: ``start`` is a generator of another kind.
    """

    def __init__(
        self, keyframes: Sequence[Keyframe], start: Path | None = None, seed: int = 1
    ) -> None:
        torch.manual_seed(seed)
        self._random = np.random.default_rng(seed)
        self._precision = Precision("auto", torch.device("cpu"))
        generator = build_generator(GENERATOR)
        if start is not None:
            generator.load_state_dict(weights_of(start, generator))
        else:
            try:
                generator.load_state_dict(weights_of(find_model(START), generator))
            except StylizerError as error:
                log.info("learning begins from nothing: %s", error)
        self._networks = nn.ModuleDict({"painter": generator})
        self._networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = MovingAverage(self._networks, _AVERAGED)
        self._optimizer = torch.optim.Adam(self._networks.parameters(), betas=(0.9, 0.99))
        self._judge = build_discriminator(_DISCRIMINATOR)
        self._judge_optimizer = torch.optim.Adam(
            self._judge.parameters(), lr=4e-4, betas=(0.5, 0.99)
        )
        self._progress = KeyframeProgress(0, 0.0)
        self.take(keyframes)

    @property
    def progress(self) -> KeyframeProgress:
        """How far learning is."""
        return self._progress

    @property
    def native(self) -> NativeGenerator:
        """The generator as learnt so far, to be exported; a copy."""
        return NativeGenerator(self._averaged)

    def take(self, keyframes: Sequence[Keyframe]) -> None:
        """Learn from these keyframes from now on; what was learnt stays."""
        self._pairs = [_wide_enough(frame.pair) for frame in keyframes]

    def step(self, share: float) -> KeyframeProgress:
        """Learn from a few more crops.

        Args:
            share: how much of the time that is meant for learning has gone, 0 to 1.
        """
        number = self._progress.step
        rate = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * min(1.0, share))) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * rate * min(1.0, (number + 1) / _WARM_UP)
        seen, painted = self._batch()
        with self._precision.autocast():
            made = self._painter(seen.contiguous(memory_format=torch.channels_last))
        made, painted = _inner(made.float()), _inner(painted)
        difference = (made - painted).abs().mean()
        loss = difference + _STRUCTURE * (1 - ssim(made, painted, torch.float32).mean())
        if number % _PERCEPTUAL_EVERY == 0:
            loss = loss + _PERCEPTUAL_EVERY * _PERCEPTUAL * self._perceptual(made, painted)
        if number % _ADVERSARIAL_EVERY == 0:
            loss = loss + _ADVERSARIAL_EVERY * _ADVERSARIAL * self._judged(made, painted)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._networks.parameters(), 1.0)
        self._optimizer.step()
        self._average.update(self._networks, number + 1)
        new = max(_SMOOTHED, 1 / (number + 1))
        before = self._progress.difference
        self._progress = KeyframeProgress(
            number + 1, before + new * (255 * float(difference.detach()) - before)
        )
        return self._progress

    @torch.no_grad()
    def paint(self, picture: Pixels) -> Pixels:
        """Return what the generator makes of ``picture``, whose sides are multiples of 8."""
        return to_pixels(self._averaged(to_tensor([picture]))[0])

    @property
    def _painter(self) -> nn.Module:
        return self._networks["painter"]

    @property
    def _averaged(self) -> PictureGenerator:
        averaged = self._average.network["painter"]
        assert isinstance(averaged, PictureGenerator)
        return averaged

    def _perceptual(self, made: Tensor, painted: Tensor) -> Tensor:
        """Return the distance of the features of the first crop, relative to their size."""
        features = bundled_features()
        with self._precision.autocast():
            found = features(made[:1], _FEATURES)
            with torch.no_grad():
                wanted = features(painted[:1], _FEATURES)
        distances = [
            (found[layer].float() - wanted[layer].float()).abs().mean()
            / wanted[layer].float().abs().mean().clamp_min(1e-6)
            for layer in _FEATURES
        ]
        return torch.stack(distances).sum()

    def _judged(self, made: Tensor, painted: Tensor) -> Tensor:
        """Let the discriminator learn, and return the generator's adversarial loss."""
        self._judge.requires_grad_(True)
        with self._precision.autocast():
            real, fake = self._judge(painted)[0], self._judge(made.detach())[0]
        self._judge_optimizer.zero_grad()
        discriminator_loss("hinge", real, fake).backward()  # type: ignore[no-untyped-call]
        self._judge_optimizer.step()
        self._judge.requires_grad_(False)
        with self._precision.autocast():
            return generator_loss("hinge", self._judge(made)[0])

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return crops of frames and of what was painted on them, float (B, 3, 128, 128)."""
        random = self._random
        crops = [
            _crop(self._pairs[int(random.integers(len(self._pairs)))], random)
            for _ in range(_BATCH)
        ]
        both = to_tensor(crops)
        seen, painted = both[:, :3], both[:, 3:]
        # Another light for both: what it shows then goes with the light.
        light = torch.from_numpy(random.uniform(1 - _LIGHT, 1 + _LIGHT, (_BATCH, 3, 1, 1)))
        light[torch.from_numpy(random.random(_BATCH) < 0.5)] = 1
        seen, painted = ((p * light.float()).clamp(0, 1) for p in (seen, painted))
        # Noise for the frame alone: a camera has some, and the painting is not to have it.
        level = torch.from_numpy(random.uniform(0, _NOISE, (_BATCH, 1, 1, 1))).float()
        return (seen + torch.randn_like(seen) * level).clamp(0, 1), painted


def _inner(crops: Tensor) -> Tensor:
    return crops[..., _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


def _wide_enough(pair: Pixels) -> Pixels:
    """Return frame and painting, (H, W, 6), mirrored beyond the border.

    So a crop's inside, all that losses see, may lie at the border of the frame.
    """
    height, width = pair.shape[:2]
    down, across = (max(_MARGIN, _CROP - side) for side in (height, width))
    return np.pad(pair, ((_MARGIN, down), (_MARGIN, across), (0, 0)), mode="symmetric")


def _crop(pair: Pixels, random: np.random.Generator) -> Pixels:
    """Return a square of frame and painting alike, some of them turned and scaled."""
    height, width = pair.shape[:2]
    if random.random() >= _MOVED:
        top, left = (int(random.integers(side - _CROP + 1)) for side in (height, width))
        square = pair[top : top + _CROP, left : left + _CROP]
    else:
        angle, zoom = random.uniform(-_TURN, _TURN), math.exp(random.uniform(-_ZOOM, _ZOOM))
        middle = [random.uniform(_CROP / 2, side - _CROP / 2) for side in (width, height)]
        turn = zoom * np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        shift = np.array(middle) - turn @ np.full(2, _CROP / 2)
        square = _warped(pair, np.concatenate([turn, shift[:, None]], 1))
    return np.ascontiguousarray(square[:, ::-1] if random.random() < 0.5 else square)


def _warped(pair: Pixels, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Pixels:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    parts = [
        cv2.warpAffine(part, matrix, (_CROP, _CROP), flags=how, borderMode=cv2.BORDER_REFLECT)
        for part in (pair[..., :3], pair[..., 3:])
    ]
    return np.ascontiguousarray(np.dstack(parts), np.uint8)
