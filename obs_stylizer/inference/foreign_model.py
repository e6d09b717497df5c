"""A foreign ONNX file: finding its picture input and output, and running it as it is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from obs_stylizer.errors import ModelError
from obs_stylizer.inference.convention import Layout
from obs_stylizer.inference.device_loss import first_line
from obs_stylizer.inference.external_data import load_external_data
from obs_stylizer.inference.fixed_inputs import fix_inputs
from obs_stylizer.inference.foreign_graph import (
    declare_one_picture,
    declared_batch,
    repeat_picture,
    tidy,
)
from obs_stylizer.inference.model_spec import METADATA_KEY
from obs_stylizer.inference.native_model import (
    MAX_BYTES,
    Dimensions,
    dimensions_of,
    load_proto,
)
from obs_stylizer.inference.onnx_runtime import onnx_runtime

_DTYPES: Final = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
}

_EXPORT: Final = "export it again with opset 17 (in PyTorch: opset_version=17)"
_TOO_NEW: Final = re.compile(
    r"Opset (\d+) is under development.*domain (\S+) is till opset (\d+)", re.S
)
_UNKNOWN: Final = re.compile(r"(\S*?):?(\w+)\(-?\d+\) is not a registered function/op")
_UNREGISTERED: Final = re.compile(r"No Op registered for (\w+) with domain_version of (\d+)")
_UNABLE: Final = re.compile(r"Could not find an implementation for (\w+)\((\d+)\)")


@dataclass(frozen=True, slots=True)
class PictureTensor:
    """An input or output that can hold a picture.

    Attributes:
        name: its name in the graph.
        dtype: numpy's name of its number format.
        layouts: the layouts it may have, those that its shape allows first; for an output all
            others follow, because declared shapes are not always kept.
        declared: how many of ``layouts`` its shape allows.
        fixed: (height, width), each None where free, under the first of ``layouts``.
    """

    name: str
    dtype: str
    layouts: tuple[Layout, ...]
    declared: int
    fixed: tuple[int | None, int | None]


class ForeignModel:
    """A foreign model, loaded with all its weights and ready to run on the CPU.

    Attributes:
        path: its file, absolute, as it was named.
        proto: the graph, in a plain form: one picture in, chance taken out, other inputs fixed.
        input: the picture it takes.
        output: the picture it gives.
        other_outputs: names of the outputs that are left out.
        batch: how many pictures it is declared to take at once.
        changes: what was changed for that, in words.
    """

    def __init__(
        self,
        path: Path,
        output_name: str = "",
        fixed: Mapping[str, tuple[float, ...]] | None = None,
        *,
        repeat: bool = False,
    ) -> None:
        """Load ``path``.

        Args:
            path: the ONNX file.
            output_name: which output is the picture, where there are several.
            fixed: values of inputs beside the picture, by name.
            repeat: give a model that is declared for several pictures one picture as often,
                instead of declaring it for one.

        Raises:
            ModelError: it cannot be read, is native already, or does not turn one picture into
                another.
        """
        self.path = path.expanduser().absolute()
        self.proto = load_proto(self.path)
        if any(prop.key == METADATA_KEY for prop in self.proto.metadata_props):
            raise ModelError(f"{path} is a native generator already", "use it as it is")
        load_external_data(self.proto, self.path, MAX_BYTES)
        # Weights that stand among the inputs can be fixed at other values as well.
        weights = {tensor.name for tensor in self.proto.graph.initializer}
        fixed = dict(fixed or {})
        asked = [v for v in self.proto.graph.input if v.name not in weights and v.name not in fixed]
        picture = self._find_input(asked)
        held = fix_inputs(self.proto, self.path, fixed, picture)
        self.changes = [*held, *tidy(self.proto)]
        self.batch = declared_batch(picture)
        self._take_one_picture(picture.name, repeat=repeat)
        self.input = self._picture(self.proto.graph.input[0])
        self.output = self._find_output(list(self.proto.graph.output), output_name)
        self.other_outputs = [
            value.name for value in self.proto.graph.output if value.name != self.output.name
        ]
        self._session = self._open()

    def run(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Run the model as it is on one input; return its picture output.

        Raises:
            ModelError: ONNX Runtime cannot run it on that.
        """
        try:
            result: list[Any] = self._session.run([self.output.name], {self.input.name: values})
        except Exception as cause:
            raise ModelError(f"{self.path}: cannot be run: {first_line(cause)}") from cause
        made: NDArray[np.generic] = result[0]
        return made

    def _take_one_picture(self, picture: str, *, repeat: bool) -> None:
        if self.batch == 1:
            return
        if repeat:
            repeat_picture(self.proto, picture, self.batch)
            self.changes.append(
                f"it takes {self.batch} pictures at once: each frame is given {self.batch} times, "
                f"which takes {self.batch} times as long"
            )
        else:
            declare_one_picture(self.proto, self.batch)
            self.changes.append(f"it was exported for {self.batch} pictures at once and takes one")

    def _open(self) -> Any:
        runtime = onnx_runtime()
        settings = runtime.SessionOptions()
        settings.log_severity_level = 4
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return runtime.InferenceSession(
                self.proto.SerializeToString(),
                settings,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,
            )
        except Exception as cause:
            raise self._refused(str(cause), first_line(cause)) from cause

    def _refused(self, text: str, line: str) -> ModelError:
        """Say in words why ONNX Runtime does not load it."""
        here = f"ONNX Runtime {onnx_runtime().__version__} here"
        if match := _TOO_NEW.search(text):
            version, domain, newest = match.groups()
            return ModelError(
                f"{self.path}: its operators are of version {version} of {domain}, and {here} "
                f"takes them up to {newest}",
                f"{_EXPORT}, or bring it up to date: pip install --upgrade {_runtime_package()}",
            )
        if match := _UNKNOWN.search(text):
            domain = f" of “{match[1]}”" if match[1] and match[1] != "ai.onnx" else ""
            return ModelError(
                f"{self.path}: uses the operator {match[2]}{domain}, which {here} does not have",
                "export it again with operators of ONNX itself",
            )
        if match := _UNREGISTERED.search(text):
            return ModelError(
                f"{self.path}: uses the operator {match[1]}, which is none of version {match[2]} "
                f"for {here}",
                _EXPORT,
            )
        if match := _UNABLE.search(text):
            return ModelError(
                f"{self.path}: uses the operator {match[1]} of version {match[2]} in a way that "
                f"{here} cannot compute on a CPU",
                "export it again in float32 and with opset 17",
            )
        return ModelError(f"{self.path}: {here} cannot load it: {line}", _EXPORT)

    def _find_input(self, inputs: list[onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
        """Return the one input that is the picture.

        Raises:
            ModelError: there is none, several could be, or others are asked for beside it.
        """
        if len(inputs) == 1:
            self._picture(inputs[0])
            return inputs[0]
        pictures = [value for value in inputs if self._may_be_picture(value)]
        names = ", ".join(_described(value) for value in inputs) or "none"
        message = f"{self.path}: must take one picture and nothing else; its inputs are {names}"
        if len(pictures) != 1:
            raise ModelError(
                message, "export it again with all but the picture fixed inside the graph"
            )
        others = [value for value in inputs if value.name != pictures[0].name]
        raise ModelError(
            message,
            "hold the others at values that suit, as in "
            + " ".join(f"--fix {_quoted(value.name)}={_example(value)}" for value in others),
        )

    def _may_be_picture(self, value: onnx.ValueInfoProto) -> bool:
        try:
            self._picture(value)
        except ModelError:
            return False
        return True

    def _find_output(self, outputs: list[onnx.ValueInfoProto], name: str) -> PictureTensor:
        names = ", ".join(value.name for value in outputs)
        if name:
            chosen = [value for value in outputs if value.name == name]
            if not chosen:
                raise ModelError(f"{self.path}: has no output “{name}”", f"it has {names}")
            return self._picture(chosen[0])
        pictures = []
        refusals = []
        for value in outputs:
            try:
                pictures.append(self._picture(value))
            except ModelError as error:
                refusals.append(error)
        declared = [picture for picture in pictures if picture.declared == 1]
        if len(declared) == 1:
            return declared[0]
        if len(pictures) > 1:
            raise ModelError(
                f"{self.path}: {len(pictures)} of its outputs could be the picture: "
                + ", ".join(picture.name for picture in pictures),
                "say which with --output-tensor NAME",
            )
        if not pictures:
            raise refusals[0]
        return pictures[0]

    def _picture(self, value: onnx.ValueInfoProto) -> PictureTensor:
        """Return the tensor as a picture.

        Raises:
            ModelError: it cannot be one.
        """
        kind = value.type.WhichOneof("value")
        shape = dimensions_of(value) if kind == "tensor_type" else None
        elem_type = value.type.tensor_type.elem_type
        if kind != "tensor_type" or elem_type not in _DTYPES:
            raise self._no_picture(value.name, "holds no numbers that a picture could be made of")
        ranks = (3, 4) if shape is None else (len(shape),)
        if not set(ranks) & {3, 4}:
            raise self._no_picture(
                value.name,
                f"has {ranks[0]} dimensions ({_listed(shape or ())}) where a picture has 3, or 4 "
                "with a batch",
            )
        fitting = [layout for layout in Layout if layout.rank in ranks]
        if shape is None:
            layouts = tuple(fitting)
        else:
            shaped = [x for x in fitting if _may_be_sides(x.pick(shape, "hw"))]
            layouts = tuple(x for x in shaped if _channels(shape, x) == 3) or tuple(
                x for x in shaped if _channels(shape, x) is None
            )
        if not layouts:
            raise self._no_picture(
                value.name, f"has no three colours and two sides ({_listed(shape or ())})"
            )
        sides = (None, None) if shape is None else layouts[0].pick(shape, "hw")
        height, width = (side if isinstance(side, int) and side > 0 else None for side in sides)
        others = tuple(layout for layout in Layout if layout not in layouts)
        is_output = any(value.name == output.name for output in self.proto.graph.output)
        return PictureTensor(
            value.name,
            _DTYPES[elem_type],
            layouts + (others if is_output else ()),
            len(layouts),
            (height, width),
        )

    def _no_picture(self, name: str, why: str) -> ModelError:
        return ModelError(
            f"{self.path}: “{name}” is no picture: it {why}",
            "only models that turn one picture into another can be adopted",
        )


def _channels(shape: Dimensions, layout: Layout) -> int | None:
    """Return the declared number of channels under ``layout``, None if it is free."""
    (side,) = layout.pick(shape, "c")
    return side if isinstance(side, int) and side > 0 else None


def _may_be_sides(sides: Dimensions) -> bool:
    """Whether these can be height and width: one to four is a number of channels."""
    return not any(isinstance(side, int) and 0 < side <= 4 for side in sides)


def _listed(shape: Dimensions) -> str:
    return ", ".join(str(side) or "?" for side in shape)


def _described(value: onnx.ValueInfoProto) -> str:
    """Return an input in words: name, number format, shape."""
    if value.type.WhichOneof("value") != "tensor_type":
        return f"{value.name} (no tensor)"
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    shape = dimensions_of(value)
    sides = "?" if shape is None else _listed(shape) or "one number"
    return f"{value.name} ({ {'float': 'float32'}.get(kind, kind) }: {sides})"


def _runtime_package() -> str:
    """Return the package that ONNX Runtime came in: another one beside it would break both."""
    for name in ("onnxruntime-gpu", "onnxruntime-directml"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return "onnxruntime"


def _quoted(name: str) -> str:
    """Return a name as a shell takes it."""
    return shlex.quote(name)


def _example(value: onnx.ValueInfoProto) -> str:
    return "false" if value.type.tensor_type.elem_type == onnx.TensorProto.BOOL else "1"
