"""Plug-in execution providers: packages that add a provider to any ONNX Runtime beside them.

Each is a package named ``onnxruntime_ep_*`` that tells the path of its library. The authors have
run WebGPU's, on a Vulkan device in software; TensorRT's and CUDA's they have not.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
from typing import Any, Final

from obs_stylizer.inference.onnx_runtime import onnx_runtime
from obs_stylizer.inference.session import Provider

log = logging.getLogger(__name__)

PLUGIN_PREFIX: Final = "onnxruntime_ep_"

# OpenVINO's plug-in is left out: OpenVINO itself is used, which is quicker and tells more.
_PROVIDERS: Final = {
    "WebGpuExecutionProvider": Provider.WEBGPU,
    "NvTensorRTRTXExecutionProvider": Provider.TENSORRT,
    "CUDAExecutionProvider": Provider.CUDA,
}


def plugin_packages() -> list[str]:
    """Names of the installed plug-in packages, as they are imported."""
    return sorted(m.name for m in pkgutil.iter_modules() if m.name.startswith(PLUGIN_PREFIX))


@functools.cache
def _register(package: str) -> tuple[str, ...]:
    """Load one plug-in into this process; return the providers it brings, none if it fails."""
    try:
        plugin = importlib.import_module(package)
        names: tuple[str, ...] = tuple(plugin.get_ep_names())
        if not any(name in _PROVIDERS for name in names):
            return ()
        onnx_runtime().register_execution_provider_library(package, plugin.get_library_path())
    except Exception as error:
        # The library is a stranger's: whatever it raises, the other providers are still there.
        log.warning("the plug-in %s does not load: %s", package, error)
        return ()
    return names


def plugin_devices(provider: Provider) -> list[Any]:
    """Return the ``OrtEpDevice`` objects that installed plug-ins offer for ``provider``."""
    runtime = onnx_runtime()
    if not hasattr(runtime, "register_execution_provider_library"):
        return []
    names = {
        name
        for package in plugin_packages()
        for name in _register(package)
        if _PROVIDERS.get(name) is provider
    }
    return [device for device in runtime.get_ep_devices() if device.ep_name in names]
