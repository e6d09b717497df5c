"""Learning one more style of a generator within a minute or two.

A style of a generator with conditional instance norms is nothing but its row of scales and shifts
(Dumoulin et al. 2017), and of how much local contrast it wants. The network keeps its weights, and
only a row is trained: from that of the known style nearest to the picture, with the perceptual
losses of the paintings' own training, on a few photographs whose content features are computed
once. What it needs comes with the package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.model_spec import ModelSpec, spec_of
from obs_stylizer.inference.style_rows import StyleRows, read_rows
from obs_stylizer.training.bundled_data import bundled_features, bundled_photographs
from obs_stylizer.training.exported_weights import WEIGHT_PREFIX, weights_of
from obs_stylizer.training.generators import PictureGenerator, build_generator
from obs_stylizer.training.losses.perceptual import (
    content_distance,
    content_similarity,
    gram_matrix,
    style_distance,
    tone_distance,
    total_variation,
)
from obs_stylizer.training.losses.style_scales import cut, shrink, skin_mask
from obs_stylizer.training.optimization import Precision
from obs_stylizer.training.pictures import scale_to_short_side
from obs_stylizer.training.recipe import load_recipe
from obs_stylizer.training.style_pictures import STYLE_SIZE, check_picture
from obs_stylizer.training.tensors import to_pixels, to_tensor

_BROAD: Final = {"conv1_2": 1.0, "conv2_2": 1.0, "conv3_3": 1.0, "conv4_1": 1.0}
_FINE: Final = {"conv1_2": 1.0, "conv2_2": 1.0, "conv3_1": 1.0}
_CONTENT: Final = "conv3_3"
_KEPT: Final = "conv3_1"
_CROP: Final = 192
_SHORT_SIDE: Final = (224, 320)
_FINE_CROP: Final = 96
_LEARNING_RATE: Final = 0.05
_LAST_RATE: Final = 0.05
_TONE: Final = 0.3
_VARIATION: Final = 0.05
_BOLDNESS: Final = (0.4, 3.0)
_BOLDNESS_GAIN: Final = 0.3
_CONTENT_KEPT: Final = (0.545, 0.5)
"""How much of the photograph is to be kept, as :attr:`Progress.content_kept` measures it: the
style's weight rises while more is, and falls while less is. The first where the style is near,
the second, which leaves it more room, where it is not: the ends of :data:`_NEAR`."""
_NEAR: Final = (0.34, 0.44)
"""Style ratios, as :attr:`Progress.style_ratio` measures them."""
_SMOOTHED: Final = 0.1
_AVERAGED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Progress:
    """How far learning is.

    Attributes:
        step: samples seen.
        style_ratio: distance of the made pictures' broad features from the style's, as a share of
            the photographs': 1 no style at all, 0 the style's own. Over the last samples.
        content_kept: cosine of the mean-removed features (VGG-16 conv3_1, of a part of each) of
            made pictures and photographs, over the last samples.
    """

    step: int
    style_ratio: float
    content_kept: float


@dataclass(frozen=True)
class _Photograph:
    """A crop to learn on, and what the features make of it."""

    pixels: Tensor
    content: Tensor
    emphasis: Tensor
    place: int
    kept: Tensor
    distances: Tensor


class QuickLearner:
    """Trains the row of one more style for an exported generator.

    Args:
        model: the generator's ``.onnx``, with its recipe beside it.
        pictures: of the style, uint8 (H, W, 3) each: one, or frames of a film.
        photographs: to learn on, uint8 (H, W, 3) each, of any size; None for those that the
            package brings.
        row: where to go on from, (R,); None to begin at the nearest known style.
        seed: of the crops.

    Attributes:
        spec: what the generator says about itself.
        nearest: name of the style that it began from; "" if it went on from ``row``.

    Raises:
        TrainingError: the generator takes no rows, or the picture has no style to learn.
    """

    def __init__(
        self,
        model: Path,
        pictures: Sequence[Pixels],
        photographs: Sequence[Pixels] | None = None,
        row: NDArray[np.float32] | None = None,
        seed: int = 1,
    ) -> None:
        for picture in pictures:
            check_picture(picture)
        self.spec, self._rows, self._generator = _open(model)
        self._parameters = dict(self._generator.named_parameters())
        self._precision = Precision("auto", torch.device("cpu"))
        self._features = bundled_features()
        self._random = np.random.default_rng(seed)
        self._wanted = self._measure(pictures)
        seen = bundled_photographs() if photographs is None else photographs
        order = self._random.permutation(len(seen))
        self._crops = [_crop(seen[place], self._random) for place in order]
        self._known: dict[int, _Photograph] = {}
        self.nearest = ""
        if row is None:
            row = self._nearest()
        self._take(row)
        for name in self._names():
            self._parameters[name].requires_grad_(True)
        self._average = self._current()
        self._optimizer = torch.optim.Adam(
            [self._parameters[name] for name in self._names()], betas=(0.9, 0.99)
        )
        self._boldness = 1.0
        self._progress = Progress(0, 1.0, 1.0)

    @property
    def progress(self) -> Progress:
        """How far learning is."""
        return self._progress

    @property
    def row(self) -> NDArray[np.float32]:
        """The row as learnt so far, (R,)."""
        return np.array(self._average, np.float32)

    def step(self, share: float) -> Progress:
        """Learn from one more photograph.

        Args:
            share: how much of the time that is meant for learning has gone, 0 to 1.
        """
        number = self._progress.step
        rate = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * min(1.0, share))) / 2
        for group in self._optimizer.param_groups:
            group["lr"] = _LEARNING_RATE * rate * min(1.0, (number + 1) / 5)
        photograph = self._photograph(number % len(self._crops))
        loss, ratio, kept = self._losses(photograph)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        trained = [self._parameters[name] for name in self._names()]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        self._optimizer.step()
        self._average = self._average + (1 - min(_AVERAGED, number / 10)) * (
            self._current() - self._average
        )
        new = 1.0 if number == 0 else max(_SMOOTHED, 1 / (number + 1))
        before = self._progress
        self._progress = Progress(
            number + 1,
            before.style_ratio + new * (ratio - before.style_ratio),
            before.content_kept + new * (kept - before.content_kept),
        )
        wanted = float(np.interp(self._progress.style_ratio, _NEAR, _CONTENT_KEPT))
        excess = self._progress.content_kept - wanted
        low, high = _BOLDNESS
        self._boldness = min(high, max(low, self._boldness * math.exp(_BOLDNESS_GAIN * excess)))
        return self._progress

    @torch.no_grad()
    def paint(self, picture: Pixels) -> Pixels:
        """Return what the style makes of ``picture``, whose sides suit the generator."""
        trained = self._current()
        self._take(self._average)
        made = self._generator.eval()(to_tensor([picture]), torch.ones(1, 1))[0]
        self._generator.train()
        self._take(trained)
        return to_pixels(made)

    def _losses(self, photograph: _Photograph) -> tuple[Tensor, float, float]:
        """Return the loss, the style ratio and the content that is kept."""
        with self._precision.autocast():
            made = self._generator(photograph.pixels, torch.ones(1, 1)).float()
            broad = self._features(shrink(made, 0.5), _BROAD)
            fine = self._features(cut(made, _FINE_CROP, [photograph.place]), _FINE)
        broad_distances = self._distances(broad, _BROAD)
        style = broad_distances.sum() + self._distances(fine, _FINE, fine=True).sum()
        content = content_distance(broad[_CONTENT], photograph.content, photograph.emphasis).sum()
        loss = self._boldness * style + content
        loss = loss + _TONE * tone_distance(made, photograph.pixels).sum()
        loss = loss + _VARIATION * total_variation(made)
        ratio = float((broad_distances.detach() / photograph.distances).sqrt().mean())
        kept = float(content_similarity(fine[_KEPT].detach(), photograph.kept))
        return loss, ratio, kept

    def _distances(
        self, found: dict[str, Tensor], layers: dict[str, float], fine: bool = False
    ) -> Tensor:
        wanted = self._wanted[fine]
        return torch.stack(
            [
                weight * style_distance(gram_matrix(found[layer]), wanted[layer])[0]
                for layer, weight in layers.items()
            ]
        )

    @torch.no_grad()
    def _measure(self, pictures: Sequence[Pixels]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the style's Gram matrices at half and at full size: the mean of its pictures'."""
        grams = []
        for size, layers in ((STYLE_SIZE // 2, _BROAD), (STYLE_SIZE, _FINE)):
            found: dict[str, list[Tensor]] = {layer: [] for layer in layers}
            for picture in pictures:
                seen = to_tensor([_bounded(scale_to_short_side(picture, size))])
                with self._precision.autocast():
                    for layer, features in self._features(seen, layers).items():
                        found[layer].append(gram_matrix(features))
            grams.append({layer: torch.stack(each).mean(0) for layer, each in found.items()})
        return grams[0], grams[1]

    @torch.no_grad()
    def _photograph(self, place: int) -> _Photograph:
        known = self._known.get(place)
        if known is None:
            pixels = to_tensor([self._crops[place]])
            small = shrink(pixels, 0.5)
            crop = int(self._random.integers(2**31))
            with self._precision.autocast():
                found = self._features(small, {*_BROAD, _CONTENT})
                part = self._features(cut(pixels, _FINE_CROP, [crop]), [_KEPT])
            content = found[_CONTENT].float()
            mask = F.adaptive_avg_pool2d(skin_mask(small), content.shape[-2:])
            distances = self._distances(found, _BROAD).clamp_min(1e-6)
            kept = part[_KEPT].float()
            known = _Photograph(pixels, content, 1 + mask, crop, kept, distances)
            self._known[place] = known
        return known

    @torch.no_grad()
    def _nearest(self) -> NDArray[np.float32]:
        """Return the row of the known style that is least wrong for the picture."""
        losses = []
        for known in self._rows.values:
            self._take(known)
            self._boldness = 1.0
            losses.append(
                sum(float(self._losses(self._photograph(place))[0]) for place in range(2))
            )
        best = int(np.argmin(losses))
        self.nearest = self.spec.styles[best]
        return np.array(self._rows.values[best], np.float32)

    def _names(self) -> list[str]:
        return [name.removeprefix(WEIGHT_PREFIX) for name, _ in self._rows.parts]

    def _current(self) -> NDArray[np.float32]:
        parts = [self._parameters[name].detach().flatten() for name in self._names()]
        return np.array(torch.cat(parts).numpy(), np.float32)

    @torch.no_grad()
    def _take(self, row: NDArray[np.float32]) -> None:
        first = 0
        for name, (_, width) in zip(self._names(), self._rows.parts, strict=True):
            self._parameters[name].copy_(torch.from_numpy(row[None, first : first + width].copy()))
            first += width


def _open(model: Path) -> tuple[ModelSpec, StyleRows, PictureGenerator]:
    """Return a generator of one style, its weights fixed, and the rows of those it knows.

    Raises:
        TrainingError: it takes no rows, or its recipe is not beside it.
    """
    loaded = onnx.load(model)
    spec, rows = spec_of(loaded, model), read_rows(loaded, model)
    beside = model.with_name(f"{spec.name}.yaml")
    if rows is None or not beside.is_file():
        raise TrainingError(
            f"{model} takes no rows of styles"
            if rows is None
            else f"the recipe {beside} is not beside the generator",
            "export it again: obs-stylizer export RUN",
        )
    section = load_recipe(beside).generator
    several = build_generator(section, len(spec.styles))
    weights = weights_of(model, several)
    by_row = {name.removeprefix(WEIGHT_PREFIX) for name, _ in rows.parts}
    generator = build_generator(section, 1)
    if len(by_row) < len(rows.parts) or not by_row <= weights.keys():
        raise TrainingError(f"the rows of {model} do not tell which norms they belong to")
    generator.load_state_dict(
        {name: value[:1] if name in by_row else value for name, value in weights.items()}
    )
    return spec, rows, generator.requires_grad_(False)


def _crop(picture: Pixels, random: np.random.Generator) -> Pixels:
    """Return a square of the photograph, mirrored in half of the cases."""
    short = int(random.integers(_SHORT_SIDE[0], _SHORT_SIDE[1] + 1))
    scaled = scale_to_short_side(picture, short)
    top, left = (int(random.integers(side - _CROP + 1)) for side in scaled.shape[:2])
    square = scaled[top : top + _CROP, left : left + _CROP]
    return np.ascontiguousarray(square[:, ::-1] if random.random() < 0.5 else square)


def _bounded(picture: Pixels) -> Pixels:
    """Return the middle of a picture that is much longer than wide: memory is bounded."""
    height, width = picture.shape[:2]
    longest = 3 * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return picture[top : top + longest, left : left + longest]
