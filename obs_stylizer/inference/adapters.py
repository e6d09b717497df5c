"""The processors that execution providers run on, with the names people know them by.

Only the CPU's and OpenVINO's listings have been run by the authors; those of GPUs are written
from the runtimes' documentation and source.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from obs_stylizer.inference.onnx_runtime import EXECUTION_PROVIDERS, onnx_runtime
from obs_stylizer.inference.openvino_runtime import openvino_core
from obs_stylizer.inference.plugins import plugin_devices
from obs_stylizer.inference.session import Provider

log = logging.getLogger(__name__)

_TOOL_SECONDS: Final = 5.0
"""How long a system's own tool may take to answer."""


class AdapterKind(StrEnum):
    """What an adapter is."""

    CPU = "cpu"
    GPU = "gpu"
    NPU = "npu"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One processor as one provider sees it.

    Attributes:
        provider: the provider.
        index: its number among the provider's adapters, as ``--device`` takes it.
        name: its name for people.
        kind: CPU, GPU or NPU.
        runtime_id: what the runtime calls it: ``GPU.0`` for OpenVINO, a number for others.
        integrated: it shares the CPU's memory and power; False where that is not known.
        plugin_device: the ``OrtEpDevice`` of a plug-in provider.
    """

    provider: Provider
    index: int
    name: str
    kind: AdapterKind
    runtime_id: str = "0"
    integrated: bool = False
    plugin_device: Any = field(default=None, compare=False, repr=False)


@functools.cache
def cpu_name() -> str:
    """Return the processor's brand name, as in “AMD Ryzen 7 5800X”."""
    try:
        name = _read_cpu_name()
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("the processor's name cannot be read: %s", error)
        name = ""
    return " ".join(name.split()) or platform.processor() or platform.machine() or "CPU"


def _read_cpu_name() -> str:
    if sys.platform == "win32":
        import winreg

        path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0])
    if sys.platform == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value
    return ""


def _output(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=True
    ).stdout


def cpu_adapters() -> list[Adapter]:
    """The CPU, for ONNX Runtime's own provider."""
    return [Adapter(Provider.CPU, 0, cpu_name(), AdapterKind.CPU)]


def openvino_adapters() -> list[Adapter]:
    """What OpenVINO finds: the CPU first, then Intel GPUs and NPUs.

    Raises:
        ProviderError: OpenVINO is not installed or does not load.
    """
    core = openvino_core()
    found = []
    for index, device in enumerate(core.available_devices):
        kind = AdapterKind(device.split(".")[0].lower())
        name = str(core.get_property(device, "FULL_DEVICE_NAME")).strip()
        integrated = False
        if kind is AdapterKind.GPU:
            integrated = "INTEGRATED" in str(core.get_property(device, "DEVICE_TYPE")).upper()
        found.append(Adapter(Provider.OPENVINO, index, name, kind, device, integrated))
    return found


def nvidia_adapters(provider: Provider) -> list[Adapter]:
    """NVIDIA GPUs by ``nvidia-smi``; empty if there is no driver. Not run by the authors."""
    try:
        lines = _output("nvidia-smi", "--query-gpu=index,name", "--format=csv,noheader")
    except (OSError, subprocess.SubprocessError) as error:
        log.debug("nvidia-smi: %s", error)
        return []
    found: list[Adapter] = []
    # CUDA numbers GPUs by speed unless told to number them as nvidia-smi does.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    for line in lines.splitlines():
        number, _, name = (part.strip() for part in line.partition(","))
        if number.isdigit():
            found.append(Adapter(provider, len(found), name, AdapterKind.GPU, number))
    return found


def directml_adapters() -> list[Adapter]:
    """GPUs as DirectML numbers them, the one Windows calls fastest first.

    Not run by the authors. DirectML takes adapter 0 for one that has no number, whatever that is,
    so such a one is left out.
    """
    runtime = onnx_runtime()
    if not hasattr(runtime, "get_ep_devices"):  # releases before 1.22 cannot tell
        return [Adapter(Provider.DML, 0, "the default GPU", AdapterKind.GPU)]
    name = EXECUTION_PROVIDERS[Provider.DML]
    found = [device for device in runtime.get_ep_devices() if device.ep_name == name]
    return number_directml(dict(device.device.metadata) for device in found)


def number_directml(devices: Iterable[dict[str, str]]) -> list[Adapter]:
    """Make adapters of the metadata that ONNX Runtime has about GPUs on Windows."""
    gpus = {m["DxgiAdapterNumber"]: m for m in devices if "DxgiAdapterNumber" in m}

    def by_speed(item: tuple[str, dict[str, str]]) -> tuple[int, int]:
        number, metadata = item
        return int(metadata.get("DxgiHighPerformanceIndex", "999")), int(number)

    return [
        Adapter(
            Provider.DML,
            index,
            metadata.get("Description", f"GPU {number}"),
            AdapterKind.GPU,
            number,
            metadata.get("Discrete") == "0",
        )
        for index, (number, metadata) in enumerate(sorted(gpus.items(), key=by_speed))
    ]


def coreml_adapters() -> list[Adapter]:
    """Core ML spreads a graph over the chip's CPU, GPU and neural engine by itself."""
    return [Adapter(Provider.COREML, 0, cpu_name(), AdapterKind.GPU)]


def plugin_adapters(provider: Provider) -> list[Adapter]:
    """What the installed plug-in providers of ONNX Runtime offer for ``provider``."""
    found = []
    for index, device in enumerate(plugin_devices(provider)):
        metadata = dict(device.device.metadata)
        kind = AdapterKind(str(device.device.type).rpartition(".")[2].lower())
        name = metadata.get("Description") or f"{device.device.vendor} {kind.upper()}".strip()
        integrated = metadata.get("Discrete") == "0"
        found.append(Adapter(provider, index, name, kind, str(index), integrated, device))
    return found
