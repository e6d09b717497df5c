"""Sessions over OpenVINO: CPUs with bfloat16 or int8, Intel GPUs and NPUs.

OpenVINO reads the ONNX file itself. On CPUs its kernels are the quickest there are for our
generators, and unlike ONNX Runtime's CPU provider it computes in bfloat16 where the processor can.
The GPU and NPU paths are written from its documentation and have not been run.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from obs_stylizer.errors import DeviceLostError, ModelError, ProviderError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.device_loss import first_line, is_device_lost, is_out_of_memory
from obs_stylizer.inference.model_spec import FRAME_INPUT, STRENGTH_INPUT
from obs_stylizer.inference.native_model import NativeModel
from obs_stylizer.inference.session import (
    Precision,
    Provider,
    RunsOn,
    Session,
    SessionOptions,
)

log = logging.getLogger(__name__)

# What OpenVINO calls the formats: as a capability of a device, and as a hint.
_CAPABILITY: Final = {
    Precision.F32: "FP32",
    Precision.BF16: "BF16",
    Precision.F16: "FP16",
    Precision.INT8: "INT8",
}
_HINT: Final = {Precision.F32: "f32", Precision.BF16: "bf16", Precision.F16: "f16"}
_FROM_HINT: Final = {hint: precision for precision, hint in _HINT.items()}


@functools.cache
def openvino_core() -> Any:
    """Return this process's one ``openvino.Core``; making it loads the device plug-ins.

    Raises:
        ProviderError: OpenVINO is not installed or does not load.
    """
    try:
        import openvino
    except ImportError as cause:
        raise ProviderError(
            f"OpenVINO does not load: {first_line(cause)}", "run: pip install openvino"
        ) from cause
    return openvino.Core()


def precisions_of(device: str) -> tuple[Precision, ...]:
    """Return the number formats that an OpenVINO device says it computes in."""
    capabilities = openvino_core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    return tuple(p for p, capability in _CAPABILITY.items() if capability in capabilities)


def best_precision(device: str) -> Precision:
    """Return the fastest format of ``device`` that keeps the picture, int8 left out.

    On CPUs that is bfloat16 where the processor has instructions for it, on GPUs and NPUs float16.
    """
    available = precisions_of(device)
    wanted = Precision.BF16 if device.startswith("CPU") else Precision.F16
    return wanted if wanted in available else Precision.F32


class OpenVinoSession(Session):
    """See :class:`Session`."""

    def __init__(
        self,
        model: NativeModel,
        frame_size: FrameSize,
        options: SessionOptions,
        device: str = "CPU",
        cache_folder: Path | None = None,
    ) -> None:
        """Compile ``model`` for ``frame_size``.

        Args:
            model: a checked native generator.
            frame_size: what :meth:`run` will be given; the model must allow it.
            options: precision, threads; provider and device are taken from ``device`` instead.
            device: OpenVINO's name: ``CPU``, ``GPU.0``, ``NPU``.
            cache_folder: where compiled programs are kept between starts.

        Raises:
            ProviderError: the device is missing, or cannot compute in that precision.
            ModelError: OpenVINO cannot read or compile the model.
        """
        core = openvino_core()
        import openvino

        self.frame_size = frame_size
        path, precision = _choose_file(model, options.precision, device)
        try:
            network = core.read_model(path)
            network.reshape(_shapes(model, frame_size))
        except RuntimeError as cause:
            raise ModelError(f"{path}: OpenVINO cannot read it: {first_line(cause)}") from cause
        try:
            self._compiled = core.compile_model(
                network, device, _configuration(device, precision, options, cache_folder)
            )
            self._request = self._compiled.create_infer_request()
        except RuntimeError as cause:
            raise _translate(cause, f"{path}: OpenVINO cannot compile it for {device}") from cause
        shape, wanted = (1, *frame_size.shape), model.made_shape(frame_size)
        made = self._compiled.output(model.output)
        if tuple(made.shape) != wanted:
            raise ModelError(
                f"{path}: a frame of {shape} comes out as {tuple(made.shape)}",
                "a native generator keeps the size; adopt it again",
            )
        self._tensor = openvino.Tensor
        # Fixed buffers: OpenVINO writes straight into the array that is handed out.
        self._input: Pixels = np.zeros(shape, np.uint8)
        self._output: Pixels = np.zeros(wanted, np.uint8)
        self._style = np.zeros((1, max(1, model.style_length)), np.float32)
        self._strength = np.ones(1, np.float32)
        self._request.set_tensor(model.output, self._tensor(self._output, shared_memory=True))
        if model.style_length:
            self._request.set_tensor(
                model.style_input, self._tensor(self._style, shared_memory=True)
            )
        if model.has_strength:
            self._request.set_tensor(
                STRENGTH_INPUT, self._tensor(self._strength, shared_memory=True)
            )
        self.runs_on = RunsOn(
            Provider.OPENVINO,
            str(core.get_property(device, "FULL_DEVICE_NAME")).strip(),
            self._precision_that_runs(precision),
        )

    def _precision_that_runs(self, asked: Precision) -> Precision:
        """Ask the compiled model; a quantized one is looked through for a layer in int8."""
        hint = self._compiled.get_property("INFERENCE_PRECISION_HINT")
        name = hint.get_type_name() if hasattr(hint, "get_type_name") else str(hint)
        running = _FROM_HINT.get(name, Precision.F32)
        if asked is not Precision.INT8:
            return running
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            info = node.get_rt_info()
            kind = str(info["layerType"].value) if "layerType" in info else ""
            runtime = str(info["runtimePrecision"].value) if "runtimePrecision" in info else ""
            if kind.startswith("Convolution") and runtime in ("i8", "u8", "I8", "U8"):
                return Precision.INT8
        log.warning("no layer of the int8 file runs in int8 here; it runs in %s", running)
        return running

    def run(
        self,
        frame: Pixels,
        style: NDArray[np.float32] | None = None,
        strength: float | None = None,
    ) -> Pixels:
        """See :meth:`Session.run`."""
        if self._request is None:
            raise ProviderError("the session is closed")
        picture = frame[np.newaxis]
        if not (picture.flags.writeable and picture.flags.c_contiguous):
            # OpenVINO shares memory with writable arrays only.
            self._input[...] = picture
            picture = self._input
        if style is not None:
            self._style[0] = style
        if strength is not None:
            self._strength[0] = strength
        try:
            self._request.set_tensor(FRAME_INPUT, self._tensor(picture, shared_memory=True))
            self._request.infer()
        except RuntimeError as cause:
            raise _translate(cause, f"OpenVINO failed on {self.runs_on.device}") from cause
        stylized: Pixels = self._output[0]
        return stylized

    def cancel(self) -> None:
        """See :meth:`Session.cancel`. Runs on a GPU are short, and their drivers left alone."""
        request = self._request
        if request is not None and self.runs_on.on_cpu:
            with contextlib.suppress(RuntimeError):
                request.cancel()

    def close(self) -> None:
        """See :meth:`Session.close`."""
        self._request = None
        self._compiled = None


def _shapes(model: NativeModel, frame_size: FrameSize) -> dict[str, list[int]]:
    """Return the shape of every input: all of them fixed, which NPUs demand and GPUs like."""
    shapes = {FRAME_INPUT: [1, *frame_size.shape]}
    if model.style_length:
        shapes[model.style_input] = [1, model.style_length]
    if model.has_strength:
        shapes[STRENGTH_INPUT] = [1]
    return shapes


def _choose_file(model: NativeModel, precision: Precision, device: str) -> tuple[Path, Precision]:
    """Return the file to read and the precision to ask for.

    Raises:
        ProviderError: the device cannot compute in it.
        ModelError: int8 is asked for and there is no int8 variant.
    """
    if precision is Precision.AUTO:
        precision = best_precision(device) if model.spec.keeps_in_half else Precision.F32
        if model.spec.precision == "int8":
            precision = Precision.INT8
    available = precisions_of(device)
    if precision not in available:
        raise ProviderError(
            f"OpenVINO's {device} cannot compute in {precision} on this machine",
            f"it can in {', '.join(available)}, or leave the precision to auto",
        )
    if precision is not Precision.INT8 or model.spec.precision == "int8":
        return model.path, precision
    variant = model.variant(Precision.INT8)
    if variant is None:
        raise ModelError(
            f"{model.path} has no int8 variant",
            f"put {model.path.stem}.int8.onnx beside it, or choose another precision",
        )
    return variant, precision


def _configuration(
    device: str, precision: Precision, options: SessionOptions, cache_folder: Path | None
) -> dict[str, Any]:
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision in _HINT:
        settings["INFERENCE_PRECISION_HINT"] = _HINT[precision]
    if device.startswith("CPU"):
        settings["NUM_STREAMS"] = 1
        # Pinned threads wait for their core while a game or an encoder has it: on two cores
        # with other work that made a frame a third slower, and alone nothing quicker.
        settings["ENABLE_CPU_PINNING"] = False
        if options.threads:
            settings["INFERENCE_NUM_THREADS"] = options.threads
    if cache_folder is not None:
        # On a CPU this saves a third of a second for int8 and little else, on GPUs seconds. A
        # file that a killed process left unfinished is noticed and made again.
        settings["CACHE_DIR"] = str(cache_folder)
    return settings


def _translate(cause: RuntimeError, what: str) -> Exception:
    """Return the error of ours that says what the runtime's exception says."""
    text = f"{what}: {first_line(cause)}"
    if is_device_lost(cause):
        return DeviceLostError(text, "the worker is replaced; update the driver if it goes on")
    if is_out_of_memory(cause):
        return ProviderError(text, "choose a smaller process size")
    return ProviderError(text)
