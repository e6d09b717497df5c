"""Sessions over ONNX Runtime: its own CPU provider, GPUs through built-in and plug-in providers.

The authors have run the CPU provider, and the WebGPU plug-in on a Vulkan device in software. The
others are written from ONNX Runtime's documentation; whatever they do, a session that ended up on
the CPU in silence is refused.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from obs_stylizer.errors import DeviceLostError, ModelError, ProviderError, StylizerError
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

EXECUTION_PROVIDERS: Final = {
    Provider.CPU: "CPUExecutionProvider",
    Provider.CUDA: "CUDAExecutionProvider",
    Provider.TENSORRT: "TensorrtExecutionProvider",
    Provider.DML: "DmlExecutionProvider",
    Provider.COREML: "CoreMLExecutionProvider",
    Provider.WEBGPU: "WebGpuExecutionProvider",
}
"""ONNX Runtime's names of the providers."""

# The formats a provider computes a file of 32-bit weights in. A file stored in another format
# brings its own.
_PRECISIONS: Final = {Provider.TENSORRT: (Precision.F32, Precision.F16)}

_FATAL_ONLY: Final = 4
"""ONNX Runtime's log level: its errors come as exceptions, its warnings would fill the log."""


@functools.cache
def onnx_runtime() -> Any:
    """Return the ``onnxruntime`` module, its CUDA libraries found and its telemetry off.

    Raises:
        ProviderError: it is not installed, or two of its packages have broken each other.
    """
    try:
        import onnxruntime
    except ImportError as cause:
        raise ProviderError(
            f"ONNX Runtime does not load: {first_line(cause)}", "run: pip install onnxruntime"
        ) from cause
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ProviderError(
            "ONNX Runtime is broken: two of its packages were installed and one was removed",
            "uninstall every onnxruntime package, then install exactly one",
        )
    onnxruntime.set_default_logger_severity(_FATAL_ONLY)
    # The package has turned off what later versions do from their import on; this is Windows'.
    if hasattr(onnxruntime, "disable_telemetry_events"):
        onnxruntime.disable_telemetry_events()
    providers = onnxruntime.get_available_providers()
    if EXECUTION_PROVIDERS[Provider.CUDA] in providers and hasattr(onnxruntime, "preload_dlls"):
        # Finds CUDA and cuDNN in the nvidia-* packages beside ours. It prints what it misses,
        # which the session's own failure tells better.
        onnxruntime.preload_dlls(directory="")
    return onnxruntime


class OnnxRuntimeSession(Session):
    """See :class:`Session`."""

    def __init__(
        self,
        model: NativeModel,
        frame_size: FrameSize,
        options: SessionOptions,
        provider: Provider = Provider.CPU,
        device_index: int = 0,
        device_name: str = "CPU",
        *,
        plugin_devices: tuple[Any, ...] = (),
        cache_folder: Path | None = None,
    ) -> None:
        """Load ``model`` for ``frame_size``.

        Args:
            model: a checked native generator.
            frame_size: what :meth:`run` will be given; the model must allow it.
            options: precision, threads, spinning; provider and device come from the next three.
            provider: one of :data:`EXECUTION_PROVIDERS`.
            device_index: the provider's own number of the adapter.
            device_name: its name, for people.
            plugin_devices: ``OrtEpDevice`` objects of a plug-in provider, which go in place of
                ``provider``'s built-in one.
            cache_folder: where TensorRT keeps the engines it built.

        Raises:
            ProviderError: the provider does not start, or the session would run on the CPU.
            ModelError: ONNX Runtime cannot read the model.
        """
        self._session: Any = None
        self._run_options: Any = None
        self._can_be_cancelled = provider is Provider.CPU
        self.frame_size = frame_size
        # The options of built-in providers mean nothing to a plug-in.
        plugged = bool(plugin_devices)
        formats = () if plugged else _PRECISIONS.get(provider, ())
        path, precision = _choose_file(model, options.precision, provider, formats)
        reasons = []
        entries: Iterable[dict[str, str]] = (
            [{}] if plugged else _entries(provider, device_index, precision, cache_folder)
        )
        for entry in entries:
            try:
                self._start(model, path, options, provider, entry, plugin_devices)
                break
            except (ModelError, DeviceLostError):
                raise
            except ProviderError as cause:
                log.debug("%s with %s: %s", provider, entry, cause)
                reasons.append(cause)
        else:
            raise reasons[-1]
        self.runs_on = RunsOn(provider, device_name, precision)

    def _start(
        self,
        model: NativeModel,
        path: Path,
        options: SessionOptions,
        provider: Provider,
        entry: dict[str, str],
        plugin_devices: tuple[Any, ...],
    ) -> None:
        """Make the session with one set of provider options, bind its buffers, run it once."""
        runtime = onnx_runtime()
        settings = _session_options(runtime, model, self.frame_size, options, provider)
        name = EXECUTION_PROVIDERS[provider]
        providers: list[Any] | None = [(name, entry)]
        if plugin_devices:
            settings.add_provider_for_devices(list(plugin_devices), entry)
            name, providers = plugin_devices[0].ep_name, None
        elif provider is not Provider.CPU and name not in runtime.get_available_providers():
            raise ProviderError(f"this ONNX Runtime has no {name}")
        try:
            session = runtime.InferenceSession(
                str(path), settings, providers=providers, enable_fallback=0
            )
        except Exception as cause:
            if provider is Provider.CPU:
                raise ModelError(
                    f"{path}: ONNX Runtime cannot load it: {first_line(cause)}"
                ) from cause
            raise _translate(cause, f"{provider} does not start") from cause
        # A provider that cannot start only warns, and the session is then made without it.
        if name not in session.get_providers():
            raise ProviderError(
                f"{provider} does not start: ONNX Runtime went back to the CPU in silence",
                "its driver or libraries are missing; see: obs-stylizer devices",
            )
        session.disable_fallback()
        device = ("cuda", int(entry.get("device_id", 0)))
        on_device = provider in (Provider.CUDA, Provider.TENSORRT) and not plugin_devices
        # A provider with memory of its own copies an array of ours when it is bound, not when it
        # is run: without binding again it would see the first frame for ever.
        self._copied_when_bound = provider is not Provider.CPU and not on_device
        self._bind(runtime, session, model, path, device if on_device else ("cpu", 0))
        if entry.get("enable_cuda_graph") == "1":
            # The graph is captured in the first runs; whether it can be is only known then.
            self._session = session
            self.run(np.zeros(self.frame_size.shape, np.uint8))
        self._session = session

    def _bind(
        self,
        runtime: Any,
        session: Any,
        model: NativeModel,
        path: Path,
        device: tuple[str, int],
    ) -> None:
        """Give every input and output one fixed buffer.

        On the CPU these are our own arrays, which ONNX Runtime reads and writes in place; on CUDA
        they are in the device's memory, where fixed addresses also allow a captured graph. Other
        providers copy from and to arrays of ours by themselves.
        """
        shape, wanted = (1, *self.frame_size.shape), model.made_shape(self.frame_size)
        made = session.get_outputs()[0].shape
        if any(isinstance(m, int) and m != s for m, s in zip(made, wanted, strict=True)):
            raise ModelError(
                f"{path}: a frame of {shape} comes out as {tuple(made)}",
                "a native generator keeps the size; adopt it again",
            )
        make = runtime.OrtValue.ortvalue_from_numpy
        self._array: Pixels = np.zeros(wanted, np.uint8)
        self._frame = make(np.zeros(shape, np.uint8), *device)
        self._result = make(self._array, *device)
        self._style = self._strength = None
        self._style_input = model.style_input
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(FRAME_INPUT, self._frame)
        self._binding.bind_ortvalue_output(model.output, self._result)
        if model.style_length:
            weights = np.full((1, model.style_length), 1 / model.style_length, np.float32)
            self._style = make(weights, *device)
            self._binding.bind_ortvalue_input(model.style_input, self._style)
        if model.has_strength:
            self._strength = make(np.ones(1, np.float32), *device)
            self._binding.bind_ortvalue_input(STRENGTH_INPUT, self._strength)
        self._on_device = device[0] != "cpu"

    def run(
        self,
        frame: Pixels,
        style: NDArray[np.float32] | None = None,
        strength: float | None = None,
    ) -> Pixels:
        """See :meth:`Session.run`."""
        if self._session is None:
            raise ProviderError("the session is closed")
        try:
            self._give(FRAME_INPUT, self._frame, np.ascontiguousarray(frame[np.newaxis]))
            if style is not None and self._style is not None:
                weights = np.asarray(style, np.float32).reshape(1, -1)
                self._give(self._style_input, self._style, weights)
            if strength is not None and self._strength is not None:
                self._give(STRENGTH_INPUT, self._strength, np.array([strength], np.float32))
            if self._can_be_cancelled:
                # What was once ended stays ended, so each run has its own.
                self._run_options = onnx_runtime().RunOptions()
            self._session.run_with_iobinding(self._binding, self._run_options)
            result: Pixels = self._result.numpy() if self._on_device else self._array
        except Exception as cause:
            raise _translate(cause, "ONNX Runtime failed") from cause
        stylized: Pixels = result[0]
        return stylized

    def _give(self, name: str, buffer: Any, values: NDArray[Any]) -> None:
        """Put new values into an input's buffer, and have the provider see them."""
        buffer.update_inplace(values)
        if self._copied_when_bound:
            self._binding.bind_ortvalue_input(name, buffer)

    def cancel(self) -> None:
        """See :meth:`Session.cancel`. Runs on a GPU are short, and their drivers left alone."""
        options = self._run_options
        if options is not None:
            options.terminate = True

    def close(self) -> None:
        """See :meth:`Session.close`."""
        self._session = None
        self._binding = None
        self._frame = self._result = self._style = self._strength = None


def _choose_file(
    model: NativeModel, precision: Precision, provider: Provider, formats: tuple[Precision, ...]
) -> tuple[Path, Precision]:
    """Return the file to read and the precision it will run in.

    ``formats`` are those that the provider can compute a file of 32-bit weights in.

    Raises:
        ProviderError: the provider cannot compute in it.
        ModelError: a variant of that precision is asked for and there is none.
    """
    stored = Precision(model.spec.precision)
    if precision in (Precision.AUTO, stored):
        return model.path, stored
    if precision in formats:
        return model.path, precision
    if precision in (Precision.INT8, Precision.F16):
        variant = model.variant(precision)
        if variant is None:
            raise ModelError(
                f"{model.path} has no {precision} variant, which {provider} would need",
                f"put {model.path.stem}.{precision}.onnx beside it, or choose another precision",
            )
        return variant, precision
    raise ProviderError(
        f"{provider} cannot compute in {precision}",
        "use --provider openvino for it, or leave the precision to auto",
    )


def _entries(
    provider: Provider, index: int, precision: Precision, cache_folder: Path | None
) -> Iterable[dict[str, str]]:
    """Yield the provider's options to try, the best first."""
    if provider is Provider.CUDA:
        # A captured graph spares the launch of every kernel. It needs fixed shapes and
        # addresses, which we have, and no node on the CPU, which only the attempt tells.
        yield {"device_id": str(index), "enable_cuda_graph": "1"}
        yield {"device_id": str(index)}
    elif provider is Provider.TENSORRT:
        entry = {"device_id": str(index)}
        if precision is Precision.F16:
            entry["trt_fp16_enable"] = "1"
        if cache_folder is not None:
            # Building an engine takes tens of seconds to minutes.
            entry |= {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": str(cache_folder),
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": str(cache_folder),
            }
        yield entry
    elif provider is Provider.DML:
        yield {"device_id": str(index)}
    elif provider is Provider.COREML:
        fixed = {"RequireStaticInputShapes": "1", "MLComputeUnits": "ALL"}
        yield {"ModelFormat": "MLProgram", **fixed}
        yield {"ModelFormat": "NeuralNetwork", **fixed}
    else:
        yield {}


def _session_options(
    runtime: Any,
    model: NativeModel,
    frame_size: FrameSize,
    options: SessionOptions,
    provider: Provider,
) -> Any:
    settings = runtime.SessionOptions()
    settings.log_severity_level = _FATAL_ONLY
    settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    settings.inter_op_num_threads = 1
    # Given a number, ONNX Runtime does not pin its threads to cores, where they would stand in
    # the way of a game's or an encoder's.
    settings.intra_op_num_threads = options.threads or psutil.cpu_count(logical=False) or 1
    settings.add_session_config_entry(
        "session.intra_op.allow_spinning", "1" if options.spin else "0"
    )
    # Numbers near zero cost a CPU hundreds of cycles each and change no pixel.
    settings.add_session_config_entry("session.set_denormal_as_zero", "1")
    if provider is Provider.DML:
        settings.enable_mem_pattern = False
    values = {"batch": 1, "height": frame_size.height, "width": frame_size.width}
    for what, name in model.free_dimensions.items():
        settings.add_free_dimension_override_by_name(name, values[what])
    return settings


def _translate(cause: Exception, what: str) -> StylizerError:
    """Return the error of ours that says what the runtime's exception says."""
    text = f"{what}: {first_line(cause)}"
    if is_device_lost(cause):
        return DeviceLostError(text, "the worker is replaced; update the driver if it goes on")
    if is_out_of_memory(cause):
        return ProviderError(text, "choose a smaller process size")
    if "invalid dimensions for output" in str(cause):
        return ModelError(text, "a native generator keeps the size; adopt it again")
    return ProviderError(text)
