"""Telling a device that went away from a run that merely failed.

Runtimes report both as an exception with a text. After a lost device nothing in the process can
be trusted to work again, so the process is replaced; after any other failure it goes on. Running
out of memory is not a loss: the same device takes a smaller frame.
"""

from __future__ import annotations

import re
from typing import Final

# DirectX result codes; ONNX Runtime prints them in hexadecimal, with or without the 0x, and
# older releases as a negative decimal number.
_DXGI: Final = {
    0x887A0005: "DEVICE_REMOVED",
    0x887A0006: "DEVICE_HUNG",
    0x887A0007: "DEVICE_RESET",
    0x887A0020: "DRIVER_INTERNAL_ERROR",
}

_SIGNS: Final = re.compile(
    "|".join(
        [
            *(f"{code:X}|{code - (1 << 32)}" for code in _DXGI),
            *(f"DXGI_ERROR_{name}" for name in _DXGI.values()),
            r"GPU device instance has been suspended",
            # CUDA
            r"device-side assert",
            r"unspecified launch failure",
            r"no CUDA-capable device",
            r"an illegal memory access was encountered",
            r"illegal instruction was encountered",
            r"misaligned address",
            r"launch timed out",
            r"uncorrectable ECC error",
            r"GPU is lost",
            r"CUDA driver shutting down",
            r"cudaError(LaunchFailure|LaunchTimeout|DevicesUnavailable|ECCUncorrectable)",
            r"CUDA_ERROR_(LAUNCH_FAILED|LAUNCH_TIMEOUT|ILLEGAL_ADDRESS|DEVICE_UNAVAILABLE"
            r"|ECC_UNCORRECTABLE|DEINITIALIZED)",
            # OpenVINO: OpenCL for GPUs, Level Zero for NPUs
            r"CL_DEVICE_NOT_AVAILABLE",
            r"CL_INVALID_COMMAND_QUEUE",
            r"ZE_RESULT_ERROR_DEVICE_(LOST|REQUIRES_RESET)",
            # WebGPU (Dawn), Vulkan, Metal
            r"device (was|is|has been) (lost|removed|reset)",
            r"device lost",
            r"VK_ERROR_DEVICE_LOST",
            r"MTLCommandBufferErrorDeviceRemoved",
        ]
    ),
    re.IGNORECASE,
)

_MEMORY: Final = re.compile(
    r"out of memory|8007000E|E_OUTOFMEMORY|bad_alloc|Failed to allocate"
    r"|CL_OUT_OF_(HOST_MEMORY|RESOURCES)|CL_MEM_OBJECT_ALLOCATION_FAILURE",
    re.IGNORECASE,
)


def is_device_lost(error: BaseException) -> bool:
    """Whether a runtime's exception says that the device was reset, hung or removed."""
    if type(error).__name__ == "DeviceReset":  # ONNX Runtime has a class for it since 1.2x
        return True
    return _SIGNS.search(str(error)) is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a runtime's exception says that memory ran out (of the device or the machine)."""
    return isinstance(error, MemoryError) or _MEMORY.search(str(error)) is not None


# How ONNX Runtime begins a message: code, source file, and the signature of a function.
_WHERE: Final = re.compile(
    r"^(\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : )?"
    r"(/\S+\.(cc|cpp|h):\d+ [^()]*\([^()]*\)( const)?( \[with [^\]]*\])? )?"
)


def first_line(error: BaseException) -> str:
    """Return the line of a runtime's exception that says something, cut to a readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    text = (telling or lines or [type(error).__name__])[0]
    text = _WHERE.sub("", text) or text
    return text if len(text) <= 300 else text[:297] + "..."
