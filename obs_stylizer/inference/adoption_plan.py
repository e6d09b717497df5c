"""The plan of an adoption: what has to be known about a foreign model, and how sure it is.

A person looks at it and overrides what is wrong before :mod:`~obs_stylizer.inference.adopt`
writes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.convention import (
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
    SizeFinding,
    find_channels,
    find_layouts,
    find_ranges,
    find_size,
    tells_channels,
)

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
    """What the user knows better; None leaves it to be found."""

    layout: Layout | None = None
    input_range: ValueRange | None = None
    output_range: ValueRange | None = None
    channels: ChannelOrder | None = None
    multiple: int | None = None


@dataclass(frozen=True)
class AdoptionPlan:
    """Everything needed to make a model native.

    Attributes:
        model: the foreign model.
        convention: how it is to be run.
        scale: how many times larger than its input its output is.
        findings: what was found, for people, one for each thing that can be overridden.
    """

    model: ForeignModel
    convention: Convention
    scale: int
    findings: Sequence[Finding] = field(default=())

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
    model = ForeignModel(path, output_name)
    layouts, layout_finding = _layouts(model, known)
    size, size_finding = _size(model, layouts, known)
    shown_at = size.fixed_size or PROBE_SIZE
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
    )
    findings = (layout_finding, *range_findings, channel_finding, size_finding)
    return AdoptionPlan(model, convention, size.scale, findings)


def _layouts(model: ForeignModel, known: Overrides) -> tuple[tuple[Layout, Layout], Finding]:
    if known.layout is not None:
        if known.layout not in model.input.layouts:
            raise ModelError(
                f"{model.path}: “{model.input.name}” cannot be {known.layout}: "
                f"its shape is that of {model.input.layouts[0]}",
                "leave out --layout",
            )
        made = known.layout if known.layout in model.output.layouts else model.output.layouts[0]
        return (known.layout, made), Finding("layout", known.layout, Confidence.GIVEN, "--layout")
    layouts = find_layouts(model)
    declared = len(model.input.layouts) == 1
    value = layouts[0] if layouts[0] is layouts[1] else f"{layouts[0]} in, {layouts[1]} out"
    return layouts, Finding(
        "layout",
        value,
        Confidence.CERTAIN if declared else Confidence.LIKELY,
        "the graph declares it" if declared else "the only one it runs in",
    )


def _size(
    model: ForeignModel, layouts: tuple[Layout, Layout], known: Overrides
) -> tuple[SizeFinding, Finding]:
    found = find_size(model, layouts)
    if found.fixed_size is not None:
        value = f"{found.fixed_size} only; frames are scaled to it and back"
        return found, Finding("size", value, Confidence.CERTAIN, found.why)
    confidence, why = Confidence.CERTAIN, found.why
    if known.multiple is not None:
        found = SizeFinding(known.multiple, None, found.scale, "--multiple")
        confidence, why = Confidence.GIVEN, "--multiple"
    value = f"multiples of {found.multiple}"
    if found.scale > 1:
        value += f"; comes out {found.scale} times as large and is scaled back"
    return found, Finding("size", value, confidence, why)


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
        elif dtype == "uint8":
            fixed.append(Finding(name, ValueRange.BYTE, Confidence.CERTAIN, "it holds bytes"))
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
