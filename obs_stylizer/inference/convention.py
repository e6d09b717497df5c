"""How a foreign model wants its pictures: layout, range, channel order, number format, size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import FrameSize, Pixels

Values = NDArray[np.float64]
T = TypeVar("T")

WHOLE_NUMBERS: Final = ("uint8", "int32", "int64")
"""Number formats that hold bytes."""


class Layout(StrEnum):
    """Order of the dimensions; ``chw`` and ``hwc`` have none for a batch."""

    NCHW = "nchw"
    NHWC = "nhwc"
    CHW = "chw"
    HWC = "hwc"

    @property
    def rank(self) -> int:
        """How many dimensions there are."""
        return len(self.value)

    @property
    def batched(self) -> bool:
        """Whether the first dimension counts pictures."""
        return self.value[0] == "n"

    @property
    def channels_first(self) -> bool:
        """Whether the colours stand before height and width."""
        return self.value.endswith("chw")

    def shape_of(self, size: FrameSize) -> tuple[int, ...]:
        """Return the shape of one picture of ``size`` in three colours."""
        sides = {"n": 1, "c": 3, "h": size.height, "w": size.width}
        return tuple(sides[axis] for axis in self.value)

    def pick(self, shape: Sequence[T], axes: str) -> tuple[T, ...]:
        """Return the entries of ``shape`` that stand for ``axes``, as in ``"hw"``."""
        return tuple(shape[self.value.index(axis)] for axis in axes)


class ChannelOrder(StrEnum):
    """Order of the colours."""

    RGB = "rgb"
    BGR = "bgr"


class ValueRange(StrEnum):
    """Which numbers stand for black and white.

    ``unit`` is 0 to 1, ``signed`` -1 to 1, ``byte`` 0 to 255; ``caffe`` is 0 to 255 less the mean
    of each channel over ImageNet, ``imagenet`` 0 to 1 less that mean and over its deviation.
    """

    UNIT = "unit"
    SIGNED = "signed"
    BYTE = "byte"
    CAFFE = "caffe"
    IMAGENET = "imagenet"


_CAFFE_MEAN: Final = np.array([123.68, 116.779, 103.939])
_IMAGENET_MEAN: Final = np.array([0.485, 0.456, 0.406])
_IMAGENET_DEVIATION: Final = np.array([0.229, 0.224, 0.225])

_AFFINE: Final[dict[ValueRange, tuple[Values, Values]]] = {
    ValueRange.UNIT: (np.full(3, 1 / 255), np.zeros(3)),
    ValueRange.SIGNED: (np.full(3, 1 / 127.5), np.full(3, -1.0)),
    ValueRange.BYTE: (np.ones(3), np.zeros(3)),
    ValueRange.CAFFE: (np.ones(3), -_CAFFE_MEAN),
    ValueRange.IMAGENET: (
        1 / (255 * _IMAGENET_DEVIATION),
        -_IMAGENET_MEAN / _IMAGENET_DEVIATION,
    ),
}


def affine_of(value_range: ValueRange) -> tuple[Values, Values]:
    """Return (scale, offset), each float64 (3,) in RGB order: value = pixel * scale + offset."""
    return _AFFINE[value_range]


@dataclass(frozen=True, slots=True)
class TensorConvention:
    """How one tensor holds a picture.

    Attributes:
        name: of the graph's input or output.
        layout: order of the dimensions.
        value_range: meaning of the numbers.
        dtype: numpy's name of the number format: float32, float16, float64, uint8, int32 or int64.
    """

    name: str
    layout: Layout
    value_range: ValueRange
    dtype: str


@dataclass(frozen=True, slots=True)
class Convention:
    """All that has to be known to run a foreign model on a frame.

    Attributes:
        input: how it takes the picture.
        output: how it gives it.
        channels: order of the colours, the same on both sides.
        multiple: width and height must be multiples of this.
        fixed_size: the only size it takes; None if it takes any such multiple.
        least_side: width and height must be at least this.
    """

    input: TensorConvention
    output: TensorConvention
    channels: ChannelOrder
    multiple: int
    fixed_size: FrameSize | None
    least_side: int = 1

    def encode(self, frame: Pixels) -> NDArray[np.generic]:
        """Return ``frame``, uint8 RGB (H, W, 3), as the model takes it."""
        scale, offset = affine_of(self.input.value_range)
        values = frame.astype(np.float64) * scale + offset
        return _arrange(values, self.channels, self.input.layout).astype(self.input.dtype)

    def decode(self, values: NDArray[np.generic]) -> Values:
        """Return the model's output as pixel values, float64 (H, W, 3) RGB, not yet clipped."""
        return decode(values, self.output.layout, self.output.value_range, self.channels)


def decode(
    values: NDArray[np.generic],
    layout: Layout,
    value_range: ValueRange,
    channels: ChannelOrder,
) -> Values:
    """Return pixel values, float64 (H, W, 3) RGB, not clipped, from an output of one picture."""
    picture = np.asarray(values, np.float64)
    if layout.batched:
        picture = picture[0]
    if layout.channels_first:
        picture = picture.transpose(1, 2, 0)
    if channels is ChannelOrder.BGR:
        picture = picture[..., ::-1]
    scale, offset = affine_of(value_range)
    pixels: Values = (picture - offset) / scale
    return pixels


def to_pixels(values: Values) -> Pixels:
    """Return pixel values rounded and clipped to bytes, as the native graph does."""
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


def _arrange(values: Values, channels: ChannelOrder, layout: Layout) -> Values:
    if channels is ChannelOrder.BGR:
        values = values[..., ::-1]
    if layout.channels_first:
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[np.newaxis] if layout.batched else values)
