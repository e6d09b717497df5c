"""Which execution providers work on this machine, on what, and what the others lack."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sys
from dataclasses import dataclass
from typing import Final

from obs_stylizer.errors import ProviderError, UsageError
from obs_stylizer.inference.adapters import (
    Adapter,
    AdapterKind,
    coreml_adapters,
    cpu_adapters,
    directml_adapters,
    nvidia_adapters,
    openvino_adapters,
    plugin_adapters,
)
from obs_stylizer.inference.onnx_runtime import EXECUTION_PROVIDERS, onnx_runtime
from obs_stylizer.inference.session import Provider

log = logging.getLogger(__name__)

_CUDA_PACKAGE: Final = (
    "run installer/install.py again, which takes the CUDA build where it finds the driver, or in "
    "the program's environment: pip uninstall -y onnxruntime onnxruntime-directml, then "
    'pip install "onnxruntime-gpu[cuda,cudnn]"'
)
_NVIDIA_DRIVER: Final = "install NVIDIA's driver, 580 or newer"


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """What there is to say about one provider.

    Attributes:
        provider: its name.
        adapters: what it runs on here; empty if it does not work here.
        missing: what it lacks; "" if it works.
        remedy: how to get that; "" where nothing can be done.
    """

    provider: Provider
    adapters: tuple[Adapter, ...]
    missing: str = ""
    remedy: str = ""


def gpu_order() -> tuple[Provider, ...]:
    """Providers of GPUs in the order in which ``auto`` tries them on this platform.

    TensorRT is not among them: it builds an engine for minutes, which nobody gets unasked.
    """
    if sys.platform == "win32":
        return (Provider.CUDA, Provider.DML, Provider.OPENVINO, Provider.WEBGPU)
    if sys.platform == "darwin":
        return (Provider.COREML, Provider.WEBGPU)
    return (Provider.CUDA, Provider.OPENVINO, Provider.WEBGPU)


def list_providers() -> list[ProviderInfo]:
    """Return every provider, those that work here first."""
    order = (*gpu_order(), Provider.OPENVINO, Provider.CPU, *Provider)
    found = []
    for provider in dict.fromkeys(order):
        if provider is Provider.AUTO:
            continue
        try:
            found.append(ProviderInfo(provider, tuple(adapters_of(provider))))
        except ProviderError as error:
            missing = error.message.removeprefix(f"{provider}: ")
            found.append(ProviderInfo(provider, (), missing, error.remedy))
    return sorted(found, key=lambda info: not info.adapters)


def adapters_of(provider: Provider) -> list[Adapter]:
    """Return what ``provider`` can run on here, at least one.

    A provider listed here may still fail to start; only a session tells.

    Raises:
        ProviderError: it cannot run here; says what is missing and how to get it.
    """
    if provider is Provider.OPENVINO:
        return openvino_adapters()
    if provider is Provider.CPU:
        onnx_runtime()
        return cpu_adapters()
    if provider is Provider.DML:
        return _directml()
    if provider is Provider.COREML:
        return _coreml()
    if provider is Provider.WEBGPU:
        return _webgpu()
    return _nvidia(provider)


def select_adapter(provider: Provider, device: str) -> Adapter:
    """Return the adapter that ``--device`` means.

    Args:
        provider: not ``auto``.
        device: index, name, part of a name, cpu, gpu or npu, in any case; "" for the first.

    Raises:
        ProviderError: the provider cannot run here.
        UsageError: it has no such adapter, or the part of a name fits several; lists all.
    """
    adapters = adapters_of(provider)
    matching = matching_adapters(adapters, device)
    if device and len(matching) != 1:
        listed = ", ".join(f"{adapter.index} “{adapter.name}”" for adapter in adapters)
        problem = "fits several adapters" if matching else "is no adapter"
        raise UsageError(f"“{device}” {problem} of {provider}", f"it has: {listed}")
    return matching[0]


def matching_adapters(adapters: list[Adapter], device: str) -> list[Adapter]:
    """Return the adapters that ``device`` may mean: one if it is an index or a whole name."""
    wanted = device.strip().casefold()
    if not wanted:
        return adapters
    if wanted.isdigit():
        numbered = [adapter for adapter in adapters if adapter.index == int(wanted)]
        if numbered:
            return numbered
    exact = [a for a in adapters if wanted in (a.name.casefold(), a.runtime_id.casefold(), a.kind)]
    return exact or [adapter for adapter in adapters if wanted in adapter.name.casefold()]


def _built_in(provider: Provider) -> bool:
    return EXECUTION_PROVIDERS[provider] in onnx_runtime().get_available_providers()


def _directml() -> list[Adapter]:
    if sys.platform != "win32":
        raise ProviderError("DirectML exists on Windows only", _instead())
    if not _built_in(Provider.DML):
        raise ProviderError(
            "this ONNX Runtime has no DirectML provider",
            "in the program's environment: pip uninstall -y onnxruntime onnxruntime-gpu, then "
            "pip install onnxruntime-directml",
        )
    adapters = directml_adapters()
    if not adapters:
        raise ProviderError("DirectML found no GPU", "install the driver of your GPU")
    return adapters


def _coreml() -> list[Adapter]:
    if sys.platform != "darwin":
        raise ProviderError("Core ML exists on macOS only", _instead())
    if not _built_in(Provider.COREML):
        raise ProviderError(
            "this ONNX Runtime has no Core ML provider",
            "in the program's environment: pip install --force-reinstall onnxruntime",
        )
    return coreml_adapters()


def _webgpu() -> list[Adapter]:
    adapters = plugin_adapters(Provider.WEBGPU)
    if adapters:
        return adapters
    if _built_in(Provider.WEBGPU):
        return [Adapter(Provider.WEBGPU, 0, "the default GPU", AdapterKind.GPU)]
    if importlib.util.find_spec("onnxruntime_ep_webgpu") is None:
        raise ProviderError(
            "the WebGPU plug-in is not installed",
            "in the program's environment: pip install onnxruntime-ep-webgpu",
        )
    vulkan = ", and libvulkan1" if sys.platform.startswith("linux") else ""
    raise ProviderError(
        "the WebGPU plug-in found no GPU", f"install the driver of your GPU{vulkan}"
    )


def _nvidia(provider: Provider) -> list[Adapter]:
    """CUDA, and TensorRT on top of it."""
    if sys.platform == "darwin":
        raise ProviderError(f"{provider} needs an NVIDIA GPU, which Macs do not have", _instead())
    adapters = plugin_adapters(provider)
    if adapters:
        return adapters
    has_driver = shutil.which("nvidia-smi") is not None
    has_package = _built_in(provider)
    adapters = nvidia_adapters(provider) if has_driver and has_package else []
    if adapters:
        return adapters
    missing = []
    remedies = []
    if not has_driver:
        missing.append("no NVIDIA driver was found")
        remedies.append(_NVIDIA_DRIVER)
    if not has_package:
        missing.append(f"this ONNX Runtime has no {EXECUTION_PROVIDERS[provider]}")
        remedies.append(
            _CUDA_PACKAGE
            if provider is Provider.CUDA
            else "in the program's environment: pip install onnxruntime-ep-nv-tensorrt-rtx"
        )
    if not missing:
        missing.append("NVIDIA's driver reports no GPU")
        remedies.append(f"{_NVIDIA_DRIVER}, and restart")
    raise ProviderError(f"{provider}: {' and '.join(missing)}", "; ".join(remedies))


def _instead() -> str:
    return "use --provider auto, which takes the best there is here"
