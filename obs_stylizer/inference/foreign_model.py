"""A foreign ONNX file: finding its picture input and output, and running it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from obs_stylizer.errors import ModelError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.convention import Layout
from obs_stylizer.inference.device_loss import first_line
from obs_stylizer.inference.external_data import load_external_data
from obs_stylizer.inference.model_spec import METADATA_KEY
from obs_stylizer.inference.native_model import MAX_BYTES, Dimensions, dimensions_of, load_proto
from obs_stylizer.inference.onnx_runtime import onnx_runtime

_DTYPES: Final = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT8: "uint8",
}


@dataclass(frozen=True, slots=True)
class PictureTensor:
    """An input or output that can hold a picture.

    Attributes:
        name: its name in the graph.
        dtype: numpy's name of its number format.
        layouts: the layouts its shape allows; both if its channels are not declared.
        fixed: (height, width), each None where free, under the first of ``layouts``.
    """

    name: str
    dtype: str
    layouts: tuple[Layout, ...]
    fixed: tuple[int | None, int | None]


class ForeignModel:
    """A foreign model, loaded with all its weights and ready to run on the CPU.

    Attributes:
        path: its file.
        proto: the graph.
        input: the picture it takes.
        output: the picture it gives.
        other_outputs: names of the outputs that are left out.
    """

    def __init__(self, path: Path, output_name: str = "") -> None:
        """Load ``path``.

        Args:
            path: the ONNX file.
            output_name: which output is the picture, where there are several.

        Raises:
            ModelError: it cannot be read, is native already, or does not turn one picture into
                another.
        """
        self.path = path.expanduser().absolute()
        self.proto = load_proto(self.path)
        if any(prop.key == METADATA_KEY for prop in self.proto.metadata_props):
            raise ModelError(f"{path} is a native generator already", "use it as it is")
        load_external_data(self.proto, self.path, MAX_BYTES)
        weights = {tensor.name for tensor in self.proto.graph.initializer}
        inputs = [value for value in self.proto.graph.input if value.name not in weights]
        self.input = self._find_input(inputs)
        self.output = self._find_output(list(self.proto.graph.output), output_name)
        self.other_outputs = [
            value.name for value in self.proto.graph.output if value.name != self.output.name
        ]
        self._session = self._open()

    @property
    def fixed_size(self) -> FrameSize | None:
        """The only size it takes, or None.

        Raises:
            ModelError: one side is fixed and the other is free.
        """
        height, width = self.input.fixed
        if height is None and width is None:
            return None
        if height is None or width is None:
            raise ModelError(
                f"{self.path}: one side of its input is fixed at {height or width}, the other free",
                "export it again with both fixed or both free",
            )
        return FrameSize(width, height)

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

    def _open(self) -> Any:
        runtime = onnx_runtime()
        settings = runtime.SessionOptions()
        settings.log_severity_level = 4
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return runtime.InferenceSession(
                str(self.path), settings, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as cause:
            raise ModelError(
                f"{self.path}: ONNX Runtime cannot load it: {first_line(cause)}"
            ) from cause

    def _find_input(self, inputs: list[onnx.ValueInfoProto]) -> PictureTensor:
        if len(inputs) != 1:
            names = ", ".join(value.name for value in inputs) or "none"
            raise ModelError(
                f"{self.path}: must take one picture and nothing else; its inputs are {names}",
                "export it again with the others fixed inside the graph",
            )
        return self._picture(inputs[0])

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
        if shape is None:
            shape = ("", "", "", "")
        if len(shape) != 4:
            raise self._no_picture(
                value.name, f"has {len(shape)} dimensions ({_listed(shape)}) where a picture has 4"
            )
        if isinstance(shape[0], int) and shape[0] not in (0, 1):
            raise self._no_picture(value.name, f"takes {shape[0]} pictures at once, not one")
        layouts = tuple(layout for layout in Layout if _channels(shape, layout) == 3) or tuple(
            layout
            for layout in Layout
            if _channels(shape, layout) is None and _may_be_sides(_sides(shape, layout))
        )
        if not layouts:
            raise self._no_picture(value.name, f"has no three colours ({_listed(shape)})")
        height, width = (
            side if isinstance(side, int) and side > 0 else None
            for side in _sides(shape, layouts[0])
        )
        return PictureTensor(value.name, _DTYPES[elem_type], layouts, (height, width))

    def _no_picture(self, name: str, why: str) -> ModelError:
        return ModelError(
            f"{self.path}: “{name}” is no picture: it {why}",
            "only models that turn one picture into another can be adopted",
        )


def _channels(shape: Dimensions, layout: Layout) -> int | None:
    """Return the declared number of channels under ``layout``, None if it is free."""
    side = shape[1] if layout is Layout.NCHW else shape[3]
    return side if isinstance(side, int) and side > 0 else None


def _sides(shape: Dimensions, layout: Layout) -> Dimensions:
    return shape[2:4] if layout is Layout.NCHW else shape[1:3]


def _may_be_sides(sides: Dimensions) -> bool:
    """Whether these can be height and width: one to four is a number of channels."""
    return not any(isinstance(side, int) and 0 < side <= 4 for side in sides)


def _listed(shape: Dimensions) -> str:
    return ", ".join(str(side) or "?" for side in shape)
