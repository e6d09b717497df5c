"""What this machine has, and which build of ONNX Runtime and torch suits it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# What the CUDA 13 libraries of onnxruntime-gpu need: older drivers and cards
# older than Turing (compute capability 7.5) cannot load them.
OLDEST_NVIDIA_DRIVER = 580
OLDEST_COMPUTE_CAPABILITY = 7.5

NVIDIA_KERNEL_MODULE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class NvidiaGpu:
    """An NVIDIA GPU with its driver; None is what could not be found out."""

    name: str = "NVIDIA GPU"
    driver: int | None = None
    compute_capability: float | None = None


@dataclass(frozen=True)
class Machine:
    """The facts that decide what is installed."""

    # As Python's packages name it: linux-x86_64, win-amd64, macosx-11.0-arm64.
    platform: str
    nvidia: NvidiaGpu | None = None

    @property
    def is_linux(self) -> bool:
        """Whether this is Linux."""
        return self.platform.startswith("linux")


@dataclass(frozen=True)
class Runtime:
    """A base package of ONNX Runtime, and why it was chosen."""

    package: str
    extras: str
    reason: str


def choose_runtime(machine: Machine) -> Runtime:
    """The one base package of ONNX Runtime for the machine: two of them break each other."""
    windows_x64 = machine.platform == "win-amd64"
    without_cuda = "onnxruntime-directml" if windows_x64 else "onnxruntime"
    gpu = machine.nvidia
    if gpu is None:
        return Runtime(without_cuda, "", "no NVIDIA GPU was found")
    if not windows_x64 and machine.platform != "linux-x86_64":
        return Runtime(without_cuda, "", f"the CUDA build is not made for {machine.platform}")
    if gpu.driver is not None and gpu.driver < OLDEST_NVIDIA_DRIVER:
        return Runtime(
            without_cuda,
            "",
            f"the driver {gpu.driver} of the {gpu.name} is older than CUDA 13 needs; "
            f"with driver {OLDEST_NVIDIA_DRIVER} or newer the CUDA build is taken",
        )
    if gpu.compute_capability is not None and gpu.compute_capability < OLDEST_COMPUTE_CAPABILITY:
        return Runtime(without_cuda, "", f"CUDA 13 no longer supports the {gpu.name}")
    return Runtime("onnxruntime-gpu", "[cuda,cudnn]", f"{gpu.name} found")


def look() -> Machine:
    """Looks at this machine."""
    import sysconfig

    return Machine(sysconfig.get_platform(), _nvidia_gpu())


def nvidia_trace() -> str:
    """A text that changes when an NVIDIA GPU or driver comes, goes or changes.

    Looked at on every start, so it must cost next to nothing: no program is
    started for it, unlike for look().
    """
    if sys.platform == "win32":
        library = _windows_driver_library()
        try:
            return f"nvcuda.dll {library.stat().st_size}"
        except OSError:
            return ""
    try:
        return NVIDIA_KERNEL_MODULE.read_text("utf-8", "replace").splitlines()[0]
    except (OSError, IndexError):
        # A container may have the tool without the kernel's file.
        return shutil.which("nvidia-smi") or ""


def _windows_driver_library() -> Path:
    return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll")


def _nvidia_gpu() -> NvidiaGpu | None:
    if sys.platform == "darwin":
        return None
    # Not at the top: an ordinary start does not need it.
    import subprocess

    tool = shutil.which("nvidia-smi")
    if tool is not None:
        try:
            answer = subprocess.run(
                [tool, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            answer = ""
        found = best_gpu(answer)
        if found is not None:
            return found
    # nvidia-smi may be absent, broken, or too old to know compute_cap.
    if sys.platform == "win32":
        return NvidiaGpu() if _windows_driver_library().is_file() else None
    if NVIDIA_KERNEL_MODULE.is_file():
        return gpu_from_kernel_module(NVIDIA_KERNEL_MODULE.read_text("utf-8", "replace"))
    return None


def best_gpu(answer: str) -> NvidiaGpu | None:
    """Reads nvidia-smi's lines `name, driver, compute capability`; the most capable GPU."""
    found: list[NvidiaGpu] = []
    for line in answer.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 2)]
        if len(fields) != 3 or not re.match(r"\d", fields[1]):
            continue
        try:
            capability: float | None = float(fields[2])
        except ValueError:
            capability = None
        found.append(NvidiaGpu(fields[0], int(fields[1].split(".")[0]), capability))
    return max(found, key=lambda gpu: gpu.compute_capability or 0.0, default=None)


def gpu_from_kernel_module(text: str) -> NvidiaGpu:
    """Reads /proc/driver/nvidia/version."""
    version = re.search(r"\b(\d{3,4})\.\d+(?:\.\d+)?\b", text)
    return NvidiaGpu(driver=int(version.group(1)) if version else None)
