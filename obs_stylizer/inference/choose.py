"""Opening a session on what the user asks for, or on what a trial here shows to be best.

``auto`` tries the GPUs first, in the platform's order, each for real. Without one it times the
runtimes of the CPU on the actual model and size for a moment, and remembers the result, so that
the next start does not have to. It keeps the picture: int8, which changes it a little, is only
considered where bfloat16 is not to be had and an int8 variant stands beside the model, and is
only taken if it is a quarter quicker; and it says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Final

import numpy as np

from obs_stylizer.errors import (
    DeviceLostError,
    ModelError,
    ProviderError,
    StylizerError,
    UsageError,
)
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.adapters import Adapter, AdapterKind, cpu_name
from obs_stylizer.inference.cache import (
    ProbeResult,
    compiled_folder,
    probe_key,
    recall_probe,
    remember_probe,
)
from obs_stylizer.inference.native_model import NativeModel
from obs_stylizer.inference.onnx_runtime import OnnxRuntimeSession
from obs_stylizer.inference.openvino_runtime import OpenVinoSession, best_precision
from obs_stylizer.inference.providers import (
    adapters_of,
    gpu_order,
    matching_adapters,
    select_adapter,
)
from obs_stylizer.inference.session import (
    Precision,
    Provider,
    Session,
    SessionOptions,
)

log = logging.getLogger(__name__)

_MIN_TURNS: Final = 2
_MAX_TURNS: Final = 8
_PROBE_SECONDS: Final = 1.0
"""At least two and at most eight timed runs a candidate, no more than fit into this time."""

_EQUAL: Final = 1.1
"""Times within a tenth are equal: the probe is short, and the first candidate is the likelier."""

_INT8_GAIN: Final = 0.8
"""int8 must take at most this share of the best other time to be worth its picture."""

_MAX_INDEX: Final = 64

_RUNTIME_NAMES: Final = {Provider.OPENVINO: "OpenVINO", Provider.CPU: "ONNX Runtime"}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One way to run a model on processors of this machine, to be timed against others."""

    adapter: Adapter
    precision: Precision

    @property
    def label(self) -> str:
        """Unique and for people: “OpenVINO bf16”."""
        name = _RUNTIME_NAMES[self.adapter.provider]
        where = "" if self.adapter.kind is AdapterKind.CPU else f" on {self.adapter.name}"
        return f"{name} {self.precision}{where}"


Trying = Callable[[Adapter], None]
"""Hears of each adapter before it is tried: a driver may take the whole process down."""


def _nobody_hears(adapter: Adapter) -> None:
    del adapter


def open_session(
    model: NativeModel,
    frame_size: FrameSize,
    options: SessionOptions,
    trying: Trying | None = None,
) -> Session:
    """Open ``model`` for ``frame_size`` on what ``options`` asks for.

    Raises:
        ModelError: no runtime can read the model, or it has no variant of the precision.
        ProviderError: the provider or precision asked for is not to be had here.
        UsageError: the provider has no such device.
        DeviceLostError: the device went away while it was tried.
    """
    trying = trying or _nobody_hears
    if options.provider is Provider.AUTO:
        return _open_best(model, frame_size, options, trying)
    adapter = select_adapter(options.provider, options.device)
    trying(adapter)
    return _because(_open_on(adapter, model, frame_size, options), "asked for")


def _open_on(
    adapter: Adapter, model: NativeModel, frame_size: FrameSize, options: SessionOptions
) -> Session:
    compiles = adapter.provider in (Provider.OPENVINO, Provider.TENSORRT)
    folder = compiled_folder(str(adapter.provider)) if compiles else None
    if adapter.provider is Provider.OPENVINO:
        return OpenVinoSession(model, frame_size, options, adapter.runtime_id, folder)
    return OnnxRuntimeSession(
        model,
        frame_size,
        options,
        adapter.provider,
        int(adapter.runtime_id),
        adapter.name,
        plugin_devices=() if adapter.plugin_device is None else (adapter.plugin_device,),
        cache_folder=folder,
    )


def _because(session: Session, reason: str) -> Session:
    session.runs_on = replace(session.runs_on, reason=reason)
    return session


def _open_best(
    model: NativeModel, frame_size: FrameSize, options: SessionOptions, trying: Trying
) -> Session:
    # A number this small is an index; a longer one is part of a name, as in “RTX 3060”.
    if options.device.strip().isdigit() and int(options.device) < _MAX_INDEX:
        raise UsageError(
            f"device {options.device} alone says nothing: every provider counts its own",
            "give --provider too, or the device's name; see: obs-stylizer devices",
        )
    refusals: list[StylizerError] = []
    for adapter in _gpus(options.device):
        trying(adapter)
        try:
            session = _open_on(adapter, model, frame_size, options)
            _run_once(session, model)
        except DeviceLostError:
            # Whatever is tried next in this process could fail for the same reason.
            raise
        except (ProviderError, ModelError) as error:
            log.info("auto: %s on %s is out: %s", adapter.provider, adapter.name, error)
            refusals.append(error)
            continue
        return _because(session, "the first GPU provider that works here")
    candidates = list(_candidates(model, options))
    if not candidates:
        raise UsageError(f"“{options.device}” is no device here", "see: obs-stylizer devices")
    for candidate in candidates:
        trying(candidate.adapter)
    return _open_fastest(candidates, refusals, model, frame_size, options)


def _gpus(device: str) -> Iterator[Adapter]:
    """Yield the GPUs that go before any CPU, best first; of each provider's, the first.

    An Intel GPU inside a CPU is not surely quicker than the CPU in bfloat16, so it goes into
    the timed probe instead.
    """
    for provider in gpu_order():
        try:
            adapters = matching_adapters(adapters_of(provider), device)
        except ProviderError as error:
            log.debug("auto: %s", error)
            continue
        gpus = [
            adapter
            for adapter in adapters
            if adapter.kind is AdapterKind.GPU
            and not (adapter.integrated and provider is Provider.OPENVINO)
        ]
        yield from gpus[:1]


def _candidates(model: NativeModel, options: SessionOptions) -> Iterator[_Candidate]:
    """Yield what the timed probe compares."""
    for provider in (Provider.OPENVINO, Provider.CPU):
        try:
            adapters = matching_adapters(adapters_of(provider), options.device)
        except ProviderError as error:
            log.info("auto: %s", error)
            continue
        for adapter in adapters:
            if adapter.kind is AdapterKind.CPU or adapter.integrated:
                for precision in _precisions(adapter, model, options.precision):
                    yield _Candidate(adapter, precision)


def _precisions(adapter: Adapter, model: NativeModel, asked: Precision) -> Iterator[Precision]:
    if asked is not Precision.AUTO:
        yield asked
        return
    if model.spec.precision == "int8":
        yield Precision.INT8
        return
    if adapter.provider is not Provider.OPENVINO:
        yield Precision(model.spec.precision)
        return
    best = best_precision(adapter.runtime_id) if model.spec.keeps_in_half else Precision.F32
    yield best
    if best is Precision.F32 and model.variant(Precision.INT8) is not None:
        yield Precision.INT8


def _open_fastest(
    candidates: list[_Candidate],
    refusals: list[StylizerError],
    model: NativeModel,
    frame_size: FrameSize,
    options: SessionOptions,
) -> Session:
    key = probe_key(_facts(candidates, model, frame_size, options))
    known = recall_probe(key)
    if known is not None:
        winner = next((c for c in candidates if c.label == known.winner), None)
        if winner is not None:
            try:
                session = _open_candidate(winner, model, frame_size, options)
            except StylizerError as error:
                log.info("auto: %s worked before, but now: %s", known.winner, error)
            else:
                return _because(session, _in_words(known))
    sessions: dict[str, Session] = {}
    for candidate in candidates:
        try:
            session = _open_candidate(candidate, model, frame_size, options)
            _run_once(session, model)
            sessions[candidate.label] = session
        except DeviceLostError:
            raise
        except (ProviderError, ModelError) as error:
            log.info("auto: %s is out: %s", candidate.label, error)
            refusals.append(error)
    if not sessions:
        raise _hardest(refusals)
    times = _time(sessions, model)
    result = ProbeResult(_pick(times), times, time.time())
    if len(candidates) > 1:
        remember_probe(key, result)
    for label, session in sessions.items():
        if label != result.winner:
            session.close()
    return _because(sessions[result.winner], _in_words(result))


def _open_candidate(
    candidate: _Candidate, model: NativeModel, frame_size: FrameSize, options: SessionOptions
) -> Session:
    asked = replace(options, precision=candidate.precision)
    return _open_on(candidate.adapter, model, frame_size, asked)


def _run_once(session: Session, model: NativeModel) -> float:
    """Return the seconds of one run."""
    # Noise, because some kernels are quicker on zeros.
    shape = session.frame_size.shape
    frame = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    style = model.rows.values[0] if model.rows else None
    if style is None and model.style_length:
        style = np.eye(1, model.style_length, dtype=np.float32)[0]
    started = time.perf_counter()
    session.run(frame, style, 1.0)
    return time.perf_counter() - started


def _time(sessions: dict[str, Session], model: NativeModel) -> dict[str, float]:
    """Return the milliseconds of the quickest run of each.

    They take turns, so that whatever else the machine does meanwhile slows all of them alike.
    """
    times = dict.fromkeys(sessions, float("inf"))
    until = time.perf_counter() + _PROBE_SECONDS
    for turn in range(_MAX_TURNS):
        if turn >= _MIN_TURNS and time.perf_counter() > until:
            break
        for label, session in sessions.items():
            times[label] = min(times[label], _run_once(session, model) * 1000)
    return times


def _pick(times: dict[str, float]) -> str:
    """Return the label of the quickest; int8 only by a clear lead, and the first of equals."""
    exact = {label: ms for label, ms in times.items() if f" {Precision.INT8}" not in label}
    best = min((exact or times).values())
    pick = next(label for label, ms in (exact or times).items() if ms <= _EQUAL * best)
    quantized = {label: ms for label, ms in times.items() if label not in exact}
    if exact and quantized:
        label = min(quantized, key=lambda name: quantized[name])
        if quantized[label] <= _INT8_GAIN * best:
            return label
    return pick


def _in_words(result: ProbeResult) -> str:
    """Say “OpenVINO bf16 12.4 ms against ONNX Runtime f32 29.0 ms”."""
    own = f"{result.winner} {result.milliseconds[result.winner]:.1f} ms"
    others = [
        f"{label} {ms:.1f} ms"
        for label, ms in sorted(result.milliseconds.items(), key=lambda item: item[1])
        if label != result.winner
    ]
    return f"{own} against {' and '.join(others)}" if others else "the only runtime that works here"


def _facts(
    candidates: list[_Candidate],
    model: NativeModel,
    frame_size: FrameSize,
    options: SessionOptions,
) -> dict[str, object]:
    """Everything that the probe's result depends on."""
    variant = model.variant(Precision.INT8)
    return {
        "candidates": [candidate.label for candidate in candidates],
        "model": model.sha256,
        "variant": variant.stat().st_mtime_ns if variant else 0,
        "size": str(frame_size),
        "threads": options.threads,
        "spin": options.spin,
        "cpu": cpu_name(),
        "versions": [_version("onnxruntime"), _version("openvino")],
    }


def _version(module: str) -> str:
    """Return the version of whichever distribution provides ``module``."""
    for name in (module, f"{module}-directml", f"{module}-gpu"):
        try:
            return f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return ""


def _hardest(refusals: list[StylizerError]) -> StylizerError:
    """Return the refusal to report: the model's fault if every runtime says so."""
    for error in refusals:
        if isinstance(error, ProviderError):
            return error
    return refusals[-1] if refusals else ProviderError("nothing here runs a generator")
