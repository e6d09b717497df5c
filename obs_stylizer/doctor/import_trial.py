"""Run as a process: imports the parts with compiled code and tells which do not start."""

from __future__ import annotations

import importlib
import platform
from typing import Final

from obs_stylizer.doctor.children import tell

PARTS: Final = {
    "numpy": "ndarray",
    "cv2": "VideoCapture",
    "av": "open",
    "onnx": "load",
    "onnxruntime": "InferenceSession",
    "openvino": "Core",
    "yaml": "safe_load",
    "pydantic": "BaseModel",
    "psutil": "Process",
    "pyvirtualcam": "Camera",
    "cv2_enumerate_cameras": "enumerate_cameras",
    "mss": "MSS",
    "uvicorn": "Server",
    "websockets": "connect",
}
"""What must be importable, and something that each must have: a torn package imports too."""


def broken_parts(parts: dict[str, str]) -> dict[str, str]:
    """Return what does not start, and why."""
    broken = {}
    for name, attribute in parts.items():
        try:
            module = importlib.import_module(name)
            if getattr(module, "__file__", None) is None:
                broken[name] = f"{name} is an empty folder, torn apart or never installed"
            elif not hasattr(module, attribute):
                broken[name] = f"{name} is there but torn apart: it has no “{attribute}”"
        except Exception as error:
            broken[name] = f"{name} does not start: {type(error).__name__}: {error}"
    return broken


def parts_of_this_machine() -> dict[str, str]:
    """Return the parts that are made for this processor."""
    has_openvino = platform.machine().lower() in ("x86_64", "amd64", "aarch64", "arm64")
    return {name: what for name, what in PARTS.items() if name != "openvino" or has_openvino}


if __name__ == "__main__":
    tell(dict(broken_parts(parts_of_this_machine())))
