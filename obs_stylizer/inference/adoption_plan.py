"""The plan of an adoption: what has to be known about a foreign model, and how sure it is.

A person looks at it and overrides what is wrong before :mod:`~obs_stylizer.inference.adopt`
writes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import MIN_SIDE, FrameSize
from obs_stylizer.inference.convention import (
    WHOLE_NUMBERS,
    ChannelOrder,
    Convention,
    Layout,
    TensorConvention,
    ValueRange,
)
from obs_stylizer.inference.foreign_model import ForeignModel
from obs_stylizer.inference.graph_hints import Hint, input_hint, output_hint
from obs_stylizer.inference.probing import (
    PROBE_SIZE,
    check_steady,
    find_channels,
    find_ranges,
    tells_channels,
)
from obs_stylizer.inference.size_search import SizeFinding, find_size

_ALL: Final = tuple(ValueRange)


class Confidence(StrEnum):
    """How sure a finding is."""

    GIVEN = "given"
    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found out about a model: what, how sure, and how."""

    name: str
    value: str
    confidence: Confidence
    why: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the user knows better; None leaves it to be found.

    ``fixed`` holds inputs beside the picture at these values.
    """

    layout: Layout | None = None
    input_range: ValueRange | None = None
    output_range: ValueRange | None = None
    channels: ChannelOrder | None = None
    multiple: int | None = None
    size: FrameSize | None = None
    fixed: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class AdoptionPlan:
    """Everything needed to make a model native.

    Attributes:
        model: the foreign model.
        convention: how it is to be run.
        size: which sizes it takes, and one at which it ran.
        findings: what was found, for people, one for each thing that can be overridden.
    """

    model: ForeignModel
    convention: Convention
    size: SizeFinding
    findings: Sequence[Finding] = field(default=())

    @property
    def changes(self) -> Sequence[str]:
        """What had to be changed in the model, in words."""
        return self.model.changes

    @property
    def doubtful(self) -> list[Finding]:
        """The findings that are only guesses."""
        return [f for f in self.findings if f.confidence is Confidence.GUESS]


def plan_adoption(
    path: Path, overrides: Overrides | None = None, output_name: str = ""
) -> AdoptionPlan:
    """Find out how a foreign model wants its pictures.

    Args:
        path: the foreign ONNX file.
        overrides: what is known already.
        output_name: which output is the picture, where there are several.

    Raises:
        ModelError: it cannot be read or run, turns no picture into a picture, or gives NaN.
    """
    known = overrides or Overrides()
    model, size = _open(path, output_name, known)
    layouts = size.layouts
    shown_at = _shown_at(size)
    check_steady(model, layouts[0], shown_at)
    hints = (
        input_hint(model.proto.graph, model.input.name),
        output_hint(model.proto.graph, model.output.name),
    )
    ranges, range_findings = _ranges(model, layouts, known, hints, shown_at)
    channels, channel_finding = _channels(model, layouts, ranges, known, hints[0], shown_at)
    convention = Convention(
        TensorConvention(model.input.name, layouts[0], ranges[0], model.input.dtype),
        TensorConvention(model.output.name, layouts[1], ranges[1], model.output.dtype),
        channels,
        size.multiple,
        size.fixed_size,
        size.least_side,
    )
    findings = (
        _layout_finding(model, layouts, known),
        *range_findings,
        channel_finding,
        _size_finding(size, known),
    )
    return AdoptionPlan(model, convention, size, findings)


def _open(path: Path, output_name: str, known: Overrides) -> tuple[ForeignModel, SizeFinding]:
    """Load the model and find a size at which it runs.

    One that was exported for several pictures at once is given one; where that cannot be, or
    gives another picture, it is given the same picture as often as it asks for.
    """
    model = ForeignModel(path, output_name, known.fixed)
    if model.batch == 1:
        return model, _find_size(model, known)
    try:
        size = _find_size(model, known)
    except ModelError:
        size = None
    repeated = ForeignModel(path, output_name, known.fixed, repeat=True)
    if size is not None and _alike(model, repeated, size):
        return model, size
    return repeated, _find_size(repeated, known)


def _alike(model: ForeignModel, repeated: ForeignModel, size: SizeFinding) -> bool:
    """Whether one picture alone comes out as it does among several."""
    values = np.random.default_rng(5).random(size.layouts[0].shape_of(size.tried))
    values = (values * (255 if model.input.dtype in WHOLE_NUMBERS else 1)).astype(model.input.dtype)
    try:
        alone, among = (np.asarray(m.run(values), np.float64) for m in (model, repeated))
    except ModelError:
        return False
    span = float(np.ptp(among)) or 1.0
    return alone.shape == among.shape and bool(np.abs(alone - among).max() < span / 255)


def _find_size(model: ForeignModel, known: Overrides) -> SizeFinding:
    layouts = model.input.layouts
    if known.layout is not None:
        if known.layout not in layouts:
            raise ModelError(
                f"{model.path}: “{model.input.name}” cannot be {known.layout}: "
                f"its shape is that of {layouts[0]}",
                "leave out --layout",
            )
        layouts = (known.layout,)
    return find_size(model, layouts, known.size, known.multiple)


def _shown_at(size: SizeFinding) -> FrameSize:
    """Return the size at which pictures are shown: near :data:`PROBE_SIZE`, if it takes that."""
    if size.fixed_size is not None:
        return size.fixed_size
    near = PROBE_SIZE.rounded_to(size.multiple)
    return near if min(near.width, near.height) >= size.least_side else size.tried


def _layout_finding(
    model: ForeignModel, layouts: tuple[Layout, Layout], known: Overrides
) -> Finding:
    value = layouts[0] if layouts[0] is layouts[1] else f"{layouts[0]} in, {layouts[1]} out"
    if known.layout is not None:
        return Finding("layout", value, Confidence.GIVEN, "--layout")
    if model.input.declared == 1:
        return Finding("layout", value, Confidence.CERTAIN, "the graph declares it")
    return Finding("layout", value, Confidence.LIKELY, "the only one it runs in")


def _size_finding(found: SizeFinding, known: Overrides) -> Finding:
    given = known.size is not None or known.multiple is not None
    sure = Confidence.CERTAIN if found.declared else Confidence.LIKELY
    confidence = Confidence.GIVEN if given else sure
    if found.fixed_size is not None:
        value = f"{found.fixed_size} only; frames are scaled to it and back"
        return Finding("size", value, confidence, found.why)
    value = f"multiples of {found.multiple}"
    if found.least_side > max(found.multiple, MIN_SIDE):
        value += f", sides of {found.least_side} and more"
    if found.scale > 1:
        value += f"; comes out {found.scale} times as large and is scaled back"
    return Finding("size", value, confidence, "--multiple" if known.multiple else found.why)


def _ranges(
    model: ForeignModel,
    layouts: tuple[Layout, Layout],
    known: Overrides,
    hints: tuple[Hint | None, Hint | None],
    size: FrameSize,
) -> tuple[tuple[ValueRange, ValueRange], tuple[Finding, Finding]]:
    sides = (
        ("range in", known.input_range, "--range", hints[0], model.input.dtype),
        ("range out", known.output_range, "--output-range", hints[1], model.output.dtype),
    )
    fixed: list[Finding | None] = []
    for name, given, option, hint, dtype in sides:
        if given is not None:
            fixed.append(Finding(name, given, Confidence.GIVEN, option))
        elif dtype in WHOLE_NUMBERS:
            sure = Confidence.CERTAIN if dtype == "uint8" else Confidence.LIKELY
            fixed.append(Finding(name, ValueRange.BYTE, sure, "it holds whole numbers"))
        elif hint is not None:
            fixed.append(Finding(name, hint.value_range, Confidence.CERTAIN, hint.why))
        else:
            fixed.append(None)
    allowed = [_ALL if finding is None else (ValueRange(finding.value),) for finding in fixed]
    # Shown a picture even where both are known: this is where NaN comes to light.
    found = find_ranges(model, layouts, allowed[0], allowed[1], size)
    confidence = Confidence.LIKELY if found.clear else Confidence.GUESS
    why = "what comes out tells most about what was shown"
    if found.next is not None:
        given, made = found.next
        why += f", {found.lead:.2f} bits more than with {given} in and {made} out"
    if found.same:
        why += "; no different from " + ", ".join(f"{i} in and {o} out" for i, o in found.same)
    findings = tuple(
        finding or Finding(name, value, confidence, why)
        for finding, (name, *_), value in zip(
            fixed, sides, (found.input, found.output), strict=True
        )
    )
    return (found.input, found.output), (findings[0], findings[1])


def _channels(
    model: ForeignModel,
    layouts: tuple[Layout, Layout],
    ranges: tuple[ValueRange, ValueRange],
    known: Overrides,
    hint: Hint | None,
    size: FrameSize,
) -> tuple[ChannelOrder, Finding]:
    name = "channels"
    if known.channels is not None:
        return known.channels, Finding(name, known.channels, Confidence.GIVEN, "--channels")
    if hint is not None and hint.channels is not None:
        return hint.channels, Finding(name, hint.channels, Confidence.CERTAIN, hint.why)
    found, ratio = find_channels(model, layouts, ranges, size)
    if tells_channels(ratio):
        side = "first" if found is ChannelOrder.RGB else "last"
        why = f"the {side} channel weighs {ratio:.1f} times as much as the other end, as red does"
        return found, Finding(name, found, Confidence.LIKELY, why)
    return found, Finding(
        name, found, Confidence.GUESS, "the usual one; both ends weigh the same in the result"
    )
