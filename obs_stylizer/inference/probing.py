"""Finding a foreign model's convention by showing it pictures.

A model that is given its pictures in the wrong range sees them too dark, washed out or cut off,
and what it makes of them tells less about the picture. So every pair of input and output range is
tried, and the one is taken whose result tells most about what was shown (mutual information of
brightness, in bits). Where the graph says it itself, nothing is tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.convention import (
    ChannelOrder,
    Convention,
    Layout,
    TensorConvention,
    ValueRange,
    Values,
    decode,
    to_pixels,
)
from obs_stylizer.inference.foreign_model import ForeignModel
from obs_stylizer.inference.steady_graph import operators_of_chance

PROBE_SIZE: Final = FrameSize(256, 192)
"""Size at which a model of free size is shown pictures: a multiple of 64 both ways."""

_BINS: Final = 32
_CLEAR: Final = 0.15
"""A lead of so many bits over the next best pair is clear."""

_HABIT: Final = 0.08
"""Bits by which a pair must beat the usual ones (the same range on both sides)."""

_LUMA_RATIO: Final = 1.2
"""Red weighs 2.6 times as much as blue in brightness; models learn some of that."""


@dataclass(frozen=True, slots=True)
class RangeFinding:
    """The best pair of ranges.

    Attributes:
        input: the range that goes in.
        output: the range that comes out.
        lead: by how many bits the pair is better than the next one that gives another picture.
        next: that next pair; None if there is none.
        same: pairs that give the very same picture, so that it does not matter.
    """

    input: ValueRange
    output: ValueRange
    lead: float
    next: tuple[ValueRange, ValueRange] | None = None
    same: tuple[tuple[ValueRange, ValueRange], ...] = ()

    @property
    def clear(self) -> bool:
        """Whether the lead is too large for chance."""
        return self.lead >= _CLEAR


def probe_picture(size: FrameSize) -> Pixels:
    """Return a made-up picture with the statistics of a photo: soft shapes, edges, all tones.

    uint8 (height, width, 3), RGB; the same for every call.
    """
    random = np.random.default_rng(7)
    picture = np.zeros(size.shape, np.float64)
    octave = max(size.width, size.height) // 2
    while octave >= 2:
        cells = (max(2, size.height // octave + 1), max(2, size.width // octave + 1))
        brightness = random.normal(size=(*cells, 1))
        colour = random.normal(size=(*cells, 3)) * 0.35
        layer = (brightness + colour) * octave**0.6
        picture += cv2.resize(layer, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
        octave //= 2
    for _ in range(14):
        centre = (int(random.integers(size.width)), int(random.integers(size.height)))
        axes = (int(random.integers(8, 60)), int(random.integers(8, 60)))
        shade = random.normal() * picture.std() * 1.3
        mask = np.zeros(size.shape[:2], np.uint8)
        cv2.ellipse(mask, centre, axes, float(random.integers(180)), 0, 360, 1, -1)
        picture[mask > 0] += shade
    # Every tone equally often, so that a cut-off at either end shows.
    order = picture.mean(axis=2).ravel().argsort().argsort() / (size.width * size.height - 1)
    tone = order.reshape(size.shape[:2])[..., np.newaxis] * 255
    chroma = picture - picture.mean(axis=2, keepdims=True)
    photo: Pixels = np.clip(tone + chroma / chroma.std() * 18, 0, 255).astype(np.uint8)
    return photo


def find_ranges(
    model: ForeignModel,
    layouts: tuple[Layout, Layout],
    inputs: tuple[ValueRange, ...],
    outputs: tuple[ValueRange, ...],
    size: FrameSize,
) -> RangeFinding:
    """Try every pair of the given input and output ranges.

    Raises:
        ModelError: the model gives NaN or infinity for an ordinary picture in every range.
    """
    picture = probe_picture(size)
    scores: dict[tuple[ValueRange, ValueRange], float] = {}
    results: dict[tuple[ValueRange, ValueRange], Pixels] = {}
    for given in inputs:
        # The order of colours is not known yet, and brightness does not depend on it.
        convention = _convention(model, layouts, given, outputs[0])
        values = model.run(convention.encode(picture))
        if not np.isfinite(values).all():
            continue
        for made in outputs:
            stylized = decode(values, layouts[1], made, ChannelOrder.RGB)
            scores[given, made] = _score(picture, stylized, given, made)
            results[given, made] = to_pixels(stylized)
    if not scores:
        raise ModelError(
            f"{model.path}: gives NaN or infinity in “{model.output.name}” for an ordinary picture",
            "the model is broken; export it again in float32",
        )
    ranked = sorted(scores, key=lambda pair: -scores[pair])
    best, *others = ranked
    same = [pair for pair in others if _alike(results[best], results[pair])]
    rivals = [pair for pair in others if pair not in same]
    if not rivals:
        return RangeFinding(*best, float("inf"), None, tuple(same))
    return RangeFinding(*best, scores[best] - scores[rivals[0]], rivals[0], tuple(same))


def _alike(one: Pixels, other: Pixels) -> bool:
    """Whether two pictures are the same to the eye: a level apart on average."""
    return bool(np.abs(one.astype(np.int16) - other).mean() < 1)


def _convention(
    model: ForeignModel,
    layouts: tuple[Layout, Layout],
    given: ValueRange,
    made: ValueRange,
) -> Convention:
    return Convention(
        TensorConvention(model.input.name, layouts[0], given, model.input.dtype),
        TensorConvention(model.output.name, layouts[1], made, model.output.dtype),
        ChannelOrder.RGB,
        1,
        None,
    )


def _score(picture: Pixels, stylized: Values, given: ValueRange, made: ValueRange) -> float:
    """Return the bits that the result tells about the picture, less a fine for what is cut off."""
    clipped = np.clip(stylized, 0, 255)
    cut_off = float(np.abs(stylized - clipped).mean()) / 255
    side = (picture.shape[1] // 2, picture.shape[0] // 2)
    shown = cv2.resize(picture.mean(axis=2), side, interpolation=cv2.INTER_AREA)
    seen = cv2.resize(clipped.mean(axis=2), side, interpolation=cv2.INTER_AREA)
    unusual = given is not made and not (
        # Models with ImageNet's means in front give plain values.
        given in (ValueRange.CAFFE, ValueRange.IMAGENET)
        and made in (ValueRange.BYTE, ValueRange.UNIT)
    )
    commonness = 0.01 * list(ValueRange).index(given)
    return _mutual_information(shown, seen) - min(cut_off, 1.0) - _HABIT * unusual - commonness


def _mutual_information(shown: NDArray[np.float64], seen: NDArray[np.float64]) -> float:
    """Return the bits that one picture's brightness tells about the other's."""
    counts, _, _ = np.histogram2d(
        shown.ravel(), seen.ravel(), bins=_BINS, range=((0, 255.01), (0, 255.01))
    )
    joint = counts / counts.sum()
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    occupied = joint > 0
    return float((joint[occupied] * np.log2(joint[occupied] / apart[occupied])).sum())


def find_channels(
    model: ForeignModel,
    layouts: tuple[Layout, Layout],
    ranges: tuple[ValueRange, ValueRange],
    size: FrameSize,
) -> tuple[ChannelOrder, float]:
    """Return the order of colours and how much more the heavier end weighs.

    A pattern is shown in the first and in the last channel alone. Red counts more than blue in
    brightness, so the end that the result follows more is red. A ratio near 1 tells nothing.
    """
    pattern = probe_picture(size)[..., 1]
    convention = _convention(model, layouts, *ranges)
    effects = []
    for channel in (0, 2):
        changes = []
        for part in (pattern, 255 - pattern):
            shown = np.full(size.shape, 128, np.uint8)
            shown[..., channel] = part
            changes.append(convention.decode(model.run(convention.encode(shown))).mean(axis=2))
        effects.append(float(np.abs(changes[0] - changes[1]).mean()))
    first, last = max(effects[0], 1e-6), max(effects[1], 1e-6)
    ratio = max(first, last) / min(first, last)
    if ratio < _LUMA_RATIO or first >= last:
        return ChannelOrder.RGB, ratio
    return ChannelOrder.BGR, ratio


def tells_channels(ratio: float) -> bool:
    """Whether the ratio of :func:`find_channels` is large enough to go by."""
    return ratio >= _LUMA_RATIO


def check_steady(model: ForeignModel, layout: Layout, size: FrameSize) -> None:
    """Make sure that a frame gives the same picture each time.

    Raises:
        ModelError: it does not; the operators that may be the reason are named.
    """
    convention = _convention(model, (layout, layout), ValueRange.UNIT, ValueRange.UNIT)
    values = convention.encode(probe_picture(size))
    first, second = (model.run(values) for _ in range(2))
    if np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
        return
    names = ", ".join(operators_of_chance(model.proto)) or "an operator with chance in it"
    raise ModelError(
        f"{model.path}: makes another picture of the same frame each time, by {names}; live it "
        "would flicker",
        "export it again in evaluation mode (in PyTorch: model.eval()), or with that noise as an "
        "input that --fix can hold",
    )
