"""Finding the sizes that a foreign model takes, by running it.

Small sizes are tried first, in rising multiples. A model that takes none of them either wants
larger pictures, or was exported with the size at which it was traced baked in: then numbers in the
graph tell that size.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from math import isqrt
from typing import Final

import numpy as np
import onnx

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import MAX_SIDE, FrameSize
from obs_stylizer.inference.convention import Layout
from obs_stylizer.inference.foreign_model import ForeignModel
from obs_stylizer.inference.graph_scopes import nodes_of, tensors_of

log = logging.getLogger(__name__)

_MULTIPLES: Final = (1, 2, 4, 8, 16, 32, 64)
_UNUSUAL_MULTIPLES: Final = (128, 3, 5, 6, 7, 10, 12, 14, 20, 24, 28, 40, 48, 56, 96, 256)
_SIDES: Final = (129, 257, 513)
"""Least sides at which multiples are tried: small ones are quick, some models need large ones."""

_USUAL_SIDES: Final = (256, 512, 224, 320, 384, 128, 448, 640, 768, 1024)
_USUAL_SIZES: Final = (
    *(FrameSize(side, side) for side in _USUAL_SIDES),
    *(FrameSize(w, h) for w, h in ((640, 480), (640, 360), (480, 640), (1280, 720), (1920, 1080))),
)

_LONGEST_SECONDS: Final = 120.0
"""A model that is slow to fail is given up, rather than tried at a hundred sizes."""

_MIN_TRACED: Final = 16
_MAX_TRACED_TRIES: Final = 48
_FACTORS: Final = (1, 2, 4, 8, 16, 32)
"""By how much the picture may be larger than what the graph's numbers say of inner layers."""


@dataclass(frozen=True, slots=True)
class SizeFinding:
    """Sizes the model takes: multiples of a number, or the one fixed size.

    Attributes:
        layouts: of input and output, as it ran.
        multiple: width and height must be multiples of this.
        fixed_size: the only size it takes, or None.
        scale: how many times larger what comes out is.
        least_side: width and height must be at least this.
        tried: a size at which it ran.
        why: how this was found.
        declared: the graph says it, so that it is sure.
    """

    layouts: tuple[Layout, Layout]
    multiple: int
    fixed_size: FrameSize | None
    scale: int
    least_side: int
    tried: FrameSize
    why: str
    declared: bool = True


def find_size(
    model: ForeignModel,
    layouts: Sequence[Layout],
    wanted: FrameSize | None = None,
    multiple: int | None = None,
) -> SizeFinding:
    """Return which sizes the model takes and gives back unchanged, or scaled by a whole number.

    Args:
        model: the foreign model.
        layouts: how it may want its input.
        wanted: the one size it is to be used at, if the user names one.
        multiple: what sides must be multiples of, if the user knows it.

    Raises:
        ModelError: it runs at none that was tried.
    """
    search = _Search(model, layouts)
    height, width = model.input.fixed
    if wanted is not None:
        declared = FrameSize(width or wanted.width, height or wanted.height)
        if declared != wanted:
            raise ModelError(
                f"{model.path}: takes only {_sides(width, height)}, not {wanted}",
                "leave out --size" if width and height else f"say --size {declared}",
            )
        return search.only(wanted, "--size")
    if height is not None and width is not None:
        return search.only(FrameSize(width, height), "the graph declares it")
    found = None
    if height is None and width is None:
        found = search.multiples(_SIDES[0], (multiple,) if multiple else _MULTIPLES)
    found = found or search.traced()
    if found is None and height is None and width is None:
        for side in _SIDES[1:]:
            found = found or search.multiples(side, (multiple,) if multiple else _MULTIPLES)
        if not multiple:
            found = found or search.multiples(_SIDES[1], _UNUSUAL_MULTIPLES)
    found = found or search.usual()
    if found is None:
        raise search.refusal()
    return found


class _Search:
    """Runs a model at sizes and remembers what was in the way."""

    def __init__(self, model: ForeignModel, layouts: Sequence[Layout]) -> None:
        self._model = model
        self._layouts = layouts
        self._error: ModelError | None = None
        self._other_shape = ""
        self._until = time.monotonic() + _LONGEST_SECONDS

    def only(self, size: FrameSize, why: str) -> SizeFinding:
        """Return the finding for a size that is known to be the only one.

        Raises:
            ModelError: the model does not run at it.
        """
        ran = self._run(size)
        if ran is not None:
            return SizeFinding(ran[0], 1, size, ran[1], 1, size, why)
        if self._error is None:
            raise self.refusal()
        remedy = f"{why}, but it does not run at {size}; export it again"
        if why == "--size":
            remedy = f"it does not run at {size}: name another --size, or leave it out"
        raise ModelError(self._error.message, remedy)

    def multiples(self, side: int, multiples: Sequence[int]) -> SizeFinding | None:
        """Try sizes a little above ``side``, in rising multiples."""
        for number, multiple in enumerate(multiples):
            found = self._at_multiple(side, multiple)
            if found is None:
                continue
            # It may have been too small for the multiples before rather than no multiple of them.
            for smaller in multiples[:number]:
                better = self._at_multiple(found.tried.height, smaller)
                if better is not None:
                    return better
            return found
        return None

    def _at_multiple(self, side: int, multiple: int) -> SizeFinding | None:
        # Odd multiples, so that no larger multiple fits by chance.
        odd = 2 * (side // 2 // multiple) + 1
        size = FrameSize(multiple * (odd + 2), multiple * odd)
        ran = self._run(size)
        if ran is None:
            return None
        least = self._least_side(multiple, odd)
        return SizeFinding(
            ran[0], multiple, None, ran[1], least, size, f"{size} goes in and comes out"
        )

    def traced(self) -> SizeFinding | None:
        """Try the sizes that numbers in the graph speak of."""
        for size in islice(self._possible(_traced_sizes(self._model.proto)), _MAX_TRACED_TRIES):
            ran = self._run(size)
            if ran is None:
                continue
            if self._run(FrameSize(size.width + 128, size.height + 64)) is not None:
                return None  # It takes others as well, so nothing is baked in.
            why = "numbers in the graph say so, and it runs at no other size tried"
            return SizeFinding(ran[0], 1, size, ran[1], 1, size, why)
        return None

    def usual(self) -> SizeFinding | None:
        """Try sizes that models are often made for."""
        for size in self._possible(iter(_USUAL_SIZES)):
            ran = self._run(size)
            if ran is not None:
                why = "of the sizes tried, it takes this one only"
                return SizeFinding(ran[0], 1, size, ran[1], 1, size, why, declared=False)
        return None

    def refusal(self) -> ModelError:
        """Return the error that tells what was in the way."""
        export = "export it again with the size of its pictures declared"
        if self._error is not None:
            return ModelError(
                self._error.message,
                f"if it wants one size, name it, as in --size 640x480; else {export}",
            )
        return ModelError(
            f"{self._model.path}: gives pictures of another shape than it takes: "
            f"{self._other_shape}",
            "only models that turn one picture into another of its shape can be adopted; if it "
            "does so at one size, name that with --size",
        )

    def _possible(self, sizes: Iterator[FrameSize]) -> Iterator[FrameSize]:
        """Keep to the side that is declared, if there is one."""
        height, width = self._model.input.fixed
        seen = set()
        for size in sizes:
            fitting = FrameSize(width or size.width, height or size.height)
            if fitting not in seen:
                seen.add(fitting)
                yield fitting

    def _least_side(self, multiple: int, works: int) -> int:
        """Return the least side that works, by halving; ``works`` multiples do."""
        low, high = 0, works
        while high - low > 1:
            middle = (low + high) // 2
            side = middle * multiple
            if self._run(FrameSize(side, side), quietly=True) is not None:
                high = middle
            else:
                low = middle
        return high * multiple

    def _run(
        self, size: FrameSize, *, quietly: bool = False
    ) -> tuple[tuple[Layout, Layout], int] | None:
        """Return layouts and scale at which the model ran at ``size``, or None."""
        if time.monotonic() > self._until:
            return None
        for given in self._layouts:
            try:
                made = self._model.run(np.zeros(given.shape_of(size), self._model.input.dtype))
            except ModelError as error:
                log.debug("%s: %s", size, error)
                # The first one, at the plainest size, tells most.
                self._error = self._error or (None if quietly else error)
                continue
            for layout in self._model.output.layouts:
                scale = _scale(made.shape, layout, size)
                if scale:
                    return (given, layout), scale
            self._other_shape = self._other_shape or f"{size} comes out as {made.shape}"
        return None


def _scale(shape: tuple[int, ...], layout: Layout, size: FrameSize) -> int:
    """Return how many times larger than ``size`` a picture is; 0 if it is none or no multiple."""
    if len(shape) != layout.rank or layout.pick(shape, "c") != (3,):
        return 0
    if layout.batched and shape[0] != 1:
        return 0
    height, width = layout.pick(shape, "hw")
    if height % size.height or height * size.width != width * size.height:
        return 0
    return height // size.height


def _sides(width: int | None, height: int | None) -> str:
    if width and height:
        return f"{width}x{height}"
    return f"a width of {width}" if width else f"a height of {height}"


def _traced_sizes(model: onnx.ModelProto) -> Iterator[FrameSize]:
    """Yield sizes that shapes and numbers in the graph speak of, the likeliest first."""
    pairs: dict[tuple[int, int], None] = {}
    singles: dict[int, None] = {}
    products: dict[int, None] = {}
    for numbers in _number_lists(model):
        for pair in pairwise(numbers):
            if min(pair) > 1:
                pairs[pair] = None
        for number in numbers:
            if _MIN_TRACED <= number <= MAX_SIDE:
                singles[number] = None
            if number > MAX_SIDE:
                products[number] = None
    for factor in _FACTORS:
        yield from _sizes(pairs, factor)
    if len(singles) <= 8:
        for factor in _FACTORS:
            yield from _sizes([(a, b) for a in singles for b in singles], factor)
    for factor in _FACTORS:
        for product in products:
            area = product * factor * factor
            yield from (s for s in _USUAL_SIZES if s.width * s.height in (area, area / 3))
            if (side := isqrt(area)) ** 2 == area:
                yield from _sizes([(side, side)], 1)


def _sizes(
    pairs: Sequence[tuple[int, int]] | dict[tuple[int, int], None], factor: int
) -> Iterator[FrameSize]:
    """Yield those (height, width) pairs that a picture may have, larger ones first."""
    for height, width in sorted(pairs, key=lambda pair: -pair[0] * pair[1]):
        size = FrameSize(width * factor, height * factor)
        sides = (size.width, size.height)
        if min(sides) >= _MIN_TRACED and max(sides) <= min(MAX_SIDE, 4 * min(sides)):
            yield size


def _number_lists(model: onnx.ModelProto) -> Iterator[list[int]]:
    """Yield what may be shapes: short lists of whole numbers, and shapes of weights and outputs."""
    for value in model.graph.output:
        yield [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    for tensor in tensors_of(model):
        whole = tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
        if whole and int(np.prod(tensor.dims, dtype=np.int64)) <= 8:
            yield [int(number) for number in onnx.numpy_helper.to_array(tensor).ravel()]
        elif len(tensor.dims) >= 3:
            # A picture or a field of positions is stored so; kernels are smaller.
            yield [side if side >= _MIN_TRACED else 0 for side in tensor.dims]
    for node in nodes_of(model):
        for attribute in node.attribute:
            if attribute.name in ("value_ints", "shape"):
                yield list(attribute.ints)
            elif attribute.name == "value_int":
                yield [attribute.i]
