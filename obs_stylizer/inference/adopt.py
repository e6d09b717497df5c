"""Adoption: a foreign ONNX model made native, once, into a new file.

First a plan is made: everything about the model that has to be known, with how it was found and
how sure that is. A person looks at it, overrides what is wrong, and only then is the file
written, and checked against the foreign model run by hand.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import onnx

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.convention import (
    ChannelOrder,
    Convention,
    Layout,
    TensorConvention,
    ValueRange,
    to_pixels,
)
from obs_stylizer.inference.foreign_model import ForeignModel
from obs_stylizer.inference.graph_hints import Hint, input_hint, output_hint
from obs_stylizer.inference.model_spec import ModelPrecision, ModelSpec
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.onnx_runtime import OnnxRuntimeSession
from obs_stylizer.inference.probing import (
    PROBE_SIZE,
    SizeFinding,
    find_channels,
    find_layouts,
    find_ranges,
    find_size,
    probe_picture,
    tells_channels,
)
from obs_stylizer.inference.session import Provider, SessionOptions
from obs_stylizer.inference.wrap import wrap

log = logging.getLogger(__name__)

_TOLERANCE: Final = 1
"""Levels of 255 by which the native model may differ from the foreign one run by hand."""

_HALF_TOLERANCE: Final = 3
"""The same for float16, which carries 11 bits, so that a byte's last is already uncertain."""

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
    why = f"tells most about a picture shown, by {found.lead:.2f} bits"
    if found.same:
        why += "; the same picture as " + ", ".join(f"{i} to {o}" for i, o in found.same)
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


def adopt(
    plan: AdoptionPlan, output: Path, *, title: str = "", licence: str = "", author: str = ""
) -> ModelSpec:
    """Write the native model and check it against the foreign one run by hand.

    Args:
        plan: from :func:`plan_adoption`.
        output: the new file, ending in ``.onnx``; it appears only when it is whole and right.
        title: name for people; "" for the file's.
        licence: of the model; "" for unknown.
        author: who made the model.

    Raises:
        ModelError: it cannot be wrapped, or what comes out differs from the foreign model's.
    """
    output = output.expanduser()
    if output.suffix != ".onnx":
        raise ModelError(f"{output} is no name for a model", "let it end in .onnx")
    if output.resolve() == plan.model.path:
        raise ModelError(f"{output} is the foreign model itself", "choose another --output")
    spec = ModelSpec(
        name=output.stem,
        title=title or output.stem.replace("-", " ").replace("_", " ").capitalize(),
        licence=licence or "unknown",
        author=author,
        size_multiple=plan.convention.multiple,
        precision=_precision(plan.model.proto),
        adopted_from=plan.model.path.name,
    )
    try:
        native = wrap(plan.model.proto, plan.convention, spec, same_size=plan.scale == 1)
    except ModelError as error:
        raise ModelError(f"{plan.model.path}: {error.message}", error.remedy) from error
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".onnx", prefix=".adopt-", dir=output.parent)
        os.close(handle)
    except OSError as cause:
        raise ModelError(f"{output}: cannot be written: {cause.strerror}") from cause
    temporary = Path(name)
    try:
        onnx.save(native, temporary)
        _check(plan, temporary)
        temporary.chmod(0o644)
        temporary.replace(output)
    except (OSError, ValueError) as cause:
        raise ModelError(f"{output}: cannot be written: {cause}") from cause
    finally:
        temporary.unlink(missing_ok=True)
    return spec


def _precision(model: onnx.ModelProto) -> ModelPrecision:
    """Return the format of most of the weights."""
    bytes_of: dict[ModelPrecision, int] = {"f32": 0, "f16": 0, "int8": 0}
    for tensor in model.graph.initializer:
        count = int(np.prod(tensor.dims, dtype=np.int64))
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8):
            bytes_of["int8"] += count
        elif tensor.data_type == onnx.TensorProto.FLOAT16:
            bytes_of["f16"] += count
        else:
            bytes_of["f32"] += count
    return max(bytes_of, key=lambda precision: bytes_of[precision])


def _check(plan: AdoptionPlan, path: Path) -> None:
    """Compare with the foreign model run by hand, at a size where nothing is scaled on the way in.

    Raises:
        ModelError: they differ, or the native model does not run at another size.
    """
    multiple = plan.convention.multiple
    size = plan.convention.fixed_size or FrameSize(
        multiple * max(1, 128 // multiple), multiple * max(1, 96 // multiple)
    )
    other = FrameSize(size.width + 2 * multiple, size.height + 4 * multiple)
    picture = probe_picture(size)
    native = _run_native(path, picture)
    by_hand = _run_by_hand(plan, picture)
    difference = int(np.abs(native.astype(np.int16) - by_hand).max())
    half = "float16" in (plan.model.input.dtype, plan.model.output.dtype)
    if difference > (_HALF_TOLERANCE if half else _TOLERANCE):
        raise ModelError(
            f"{plan.model.path}: the native model differs from the foreign one by {difference} of "
            "255 levels",
            "this is a fault of ours, please report it with the model",
        )
    if _run_native(path, probe_picture(other)).min() == 255:
        log.warning("%s gives plain white at %s", plan.model.path, other)


def _run_native(path: Path, picture: Pixels) -> Pixels:
    size = FrameSize(picture.shape[1], picture.shape[0])
    session = OnnxRuntimeSession(
        load_native_model(path), size, SessionOptions(provider=Provider.CPU)
    )
    try:
        return session.run(picture).copy()
    finally:
        session.close()


def _run_by_hand(plan: AdoptionPlan, picture: Pixels) -> Pixels:
    """Do with numpy and OpenCV what the native graph does with operators."""
    values = plan.convention.decode(plan.model.run(plan.convention.encode(picture)))
    if values.shape[:2] != picture.shape[:2]:
        size = (picture.shape[1], picture.shape[0])
        values = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return to_pixels(values)
