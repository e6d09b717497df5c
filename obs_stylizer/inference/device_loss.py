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


# How ONNX Runtime begins a message: its code, the file it loads, the operator it runs.
_CODE: Final = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
_LOADING: Final = re.compile(r"Load model from .*? failed:\s*")
_RUNNING: Final = re.compile(
    r"(?:Error in execution: )?Non-zero status code returned while running (\S+) node\. "
    r"Name:'([^']*)' Status Message: "
)
# A place in C++ source: a path and a line, then the signature of a function.
_PLACE: Final = re.compile(r"(?:[A-Za-z]:)?[^\s:()]+\.(?:cc|cpp|cxx|cu|h|hpp):\d+:? ?")


def first_line(error: BaseException) -> str:
    """Return the line of a runtime's exception that says something, cut to a readable length.

    Places in the runtime's own source are left out, and a failing operator is named first.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from ", "Check '"))]
    text = (telling or lines or [type(error).__name__])[0]
    text = _LOADING.sub("", _CODE.sub("", text))
    text = _RUNNING.sub(_operator, text)
    text = _without_places(text).strip() or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _operator(match: re.Match[str]) -> str:
    return f"operator {match[1]}" + (f" (“{match[2]}”)" if match[2] else "") + ": "


def _without_places(text: str) -> str:
    """Cut out the places in source files, each with the function's signature behind it."""
    while (place := _PLACE.search(text)) is not None:
        text = text[: place.start()] + _behind_signature(text[place.end() :])
    return text


def _behind_signature(text: str) -> str:
    """Return what follows the signature of a C++ function at the beginning of ``text``."""
    depth = 0
    opened = text.find("(")
    # The return type and the name have no full stop, no comma outside of <> and no quotes.
    if opened < 0 or re.search(r"[.'\"]\s|==", text[:opened]):
        return text
    for index in range(opened, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return re.sub(r"^(\s*(const|noexcept|\[with [^\]]*\]))*\s*", "", text[index + 1 :])
    return ""
