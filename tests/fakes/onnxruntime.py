"""An ``onnxruntime`` that pretends providers and devices, and runs nothing.

``install`` puts it in the place of the real module. What a provider does when a session is made on
it is set in ``behaviour``: an exception to raise, or "cpu" to go back to the CPU in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from obs_stylizer.inference import onnx_runtime as module

CPU = "CPUExecutionProvider"
Behaviour = Exception | str | Callable[[dict[str, str]], Exception | None]


@dataclass
class FakeSessionOptions:
    """Keeps what was set."""

    entries: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, int] = field(default_factory=dict)
    devices: list[Any] = field(default_factory=list)
    device_options: dict[str, str] | None = None
    enable_mem_pattern: bool = True
    execution_mode: str = "parallel"
    graph_optimization_level: str = "none"
    intra_op_num_threads: int = 0
    inter_op_num_threads: int = 0
    log_severity_level: int = 2

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        self.dimensions[name] = value

    def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
        self.devices += devices
        self.device_options = dict(options)


class FakeOrtValue:
    """A buffer that may be on a device."""

    def __init__(self, array: np.ndarray, device: str = "cpu", number: int = 0) -> None:
        self.array = array if device == "cpu" else array.copy()
        self.device = device
        self.number = number

    @classmethod
    def ortvalue_from_numpy(
        cls, array: np.ndarray, device: str = "cpu", number: int = 0
    ) -> FakeOrtValue:
        return cls(array, device, number)

    def update_inplace(self, array: np.ndarray) -> None:
        self.array[...] = array

    def numpy(self) -> np.ndarray:
        return self.array.copy()


class FakeBinding:
    """Copies an array of the CPU's when it is bound to a provider with memory of its own."""

    def __init__(self, copies: bool) -> None:
        self.copies = copies
        self.inputs: dict[str, FakeOrtValue] = {}
        self.outputs: dict[str, FakeOrtValue] = {}

    def bind_ortvalue_input(self, name: str, value: FakeOrtValue) -> None:
        if self.copies and value.device == "cpu":
            value = FakeOrtValue(value.array.copy())
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: FakeOrtValue) -> None:
        self.outputs[name] = value


class FakeOnnxRuntime:
    """The module. ``made`` lists the sessions that were made, newest last."""

    SessionOptions = FakeSessionOptions
    RunOptions = SimpleNamespace
    OrtValue = FakeOrtValue
    GraphOptimizationLevel = SimpleNamespace(ORT_ENABLE_ALL="all")
    ExecutionMode = SimpleNamespace(ORT_SEQUENTIAL="sequential")

    def __init__(self, *providers: str) -> None:
        self.providers = [*providers, CPU]
        self.behaviour: dict[str, Behaviour] = {}
        self.run_error: Exception | None = None
        self.ep_devices: list[Any] = []
        self.registered: dict[str, str] = {}
        self.made: list[FakeSession] = []
        self.preloaded = False

    def set_default_logger_severity(self, level: int) -> None:
        self.severity = level

    def get_available_providers(self) -> list[str]:
        return self.providers

    def get_ep_devices(self) -> list[Any]:
        return self.ep_devices

    def register_execution_provider_library(self, name: str, path: str) -> None:
        self.registered[name] = path

    def preload_dlls(self, directory: str) -> None:
        self.preloaded = directory == ""

    def InferenceSession(  # noqa: N802
        self, path: str, options: FakeSessionOptions, providers: Any, enable_fallback: int
    ) -> FakeSession:
        assert enable_fallback == 0, "the real one would go back to the CPU and print about it"
        if providers is None:
            name, entry = options.devices[0].ep_name, {}
        else:
            name, entry = providers[0]
        behaviour = self.behaviour.get(name)
        if callable(behaviour):
            behaviour = behaviour(entry)
        if isinstance(behaviour, Exception):
            raise behaviour
        active = [CPU] if behaviour == "cpu" else [name, CPU]
        session = FakeSession(self, path, options, name, entry, active)
        self.made.append(session)
        return session


@dataclass
class FakeSession:
    """Gives every frame back as it is."""

    runtime: FakeOnnxRuntime
    path: str
    options: FakeSessionOptions
    name: str
    entry: dict[str, str]
    active: list[str]
    runs: int = 0

    def __post_init__(self) -> None:
        self.binding = FakeBinding(copies=self.name != CPU)

    def get_providers(self) -> list[str]:
        return self.active

    def disable_fallback(self) -> None:
        pass

    def io_binding(self) -> FakeBinding:
        return self.binding

    def get_outputs(self) -> list[Any]:
        sizes = self.options.dimensions
        return [SimpleNamespace(shape=[1, sizes["height"], sizes["width"], 3])]

    def run_with_iobinding(self, binding: FakeBinding, run_options: object = None) -> None:
        self.runs += 1
        if self.runtime.run_error is not None:
            raise self.runtime.run_error
        binding.outputs["stylized"].array[...] = binding.inputs["frame"].array


def device(ep_name: str, kind: str = "GPU", vendor: str = "", **metadata: str) -> Any:
    """An ``OrtEpDevice``."""
    hardware = SimpleNamespace(
        type=f"OrtHardwareDeviceType.{kind}", vendor=vendor, metadata=metadata
    )
    return SimpleNamespace(ep_name=ep_name, device=hardware)


def install(patch: pytest.MonkeyPatch, *providers: str) -> FakeOnnxRuntime:
    """Put a fake with these providers in the real one's place until the test ends."""
    fake = FakeOnnxRuntime(*providers)
    patch.setitem(sys.modules, "onnxruntime", fake)
    module.onnx_runtime.cache_clear()
    return fake
