"""Python's packages: two that share a folder, and parts that are there but do not start."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.children import ask, failed
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.errors import WorkerError

if TYPE_CHECKING:
    from obs_stylizer.doctor.situation import Situation

ONNX_RUNTIMES: Final = (
    "onnxruntime",
    "onnxruntime-directml",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-training",
)
"""The base packages of ONNX Runtime. All fill one folder, so only one may be installed."""

OPENCVS: Final = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""The packages of OpenCV, of which the same is true."""

_IMPORT_SECONDS: Final = 11.0


def examine(notes: Notes, situation: Situation | None = None) -> Iterator[Finding]:
    """Yield the findings of this area."""
    del situation
    shared = list(folders_of_packages(sys.path))
    runtimes, opencvs = family(shared, ONNX_RUNTIMES), family(shared, OPENCVS)
    try:
        broken = ask("obs_stylizer.doctor.import_trial", seconds=_IMPORT_SECONDS)
    except WorkerError as error:
        broken = {}
        yield failed(notes, "parts", "loading them", error, copyable.reinstall_program())
    else:
        yield from _other_parts(notes, broken)
    if len(runtimes) > 1:
        yield _two_runtimes(notes, runtimes)
    elif "onnxruntime" in broken:
        again = copyable.exchange(list(runtimes), right_runtime())
        yield notes.fault("ONNX Runtime", broken["onnxruntime"], "", *again)
    elif runtimes:
        yield notes.ok("ONNX Runtime", _with_versions(runtimes))
    if len(opencvs) > 1:
        yield _two_opencvs(notes, opencvs)
    elif "cv2" in broken:
        again = copyable.exchange(list(opencvs), right_opencv())
        yield notes.fault("OpenCV", broken["cv2"], "", *again)
    elif opencvs:
        yield notes.ok("OpenCV", _with_versions(opencvs))


def _other_parts(notes: Notes, broken: dict[str, str]) -> Iterator[Finding]:
    others = {name: why for name, why in broken.items() if name not in ("onnxruntime", "cv2")}
    for name, why in others.items():
        yield notes.fault(name, why, "", copyable.reinstall(_DISTRIBUTIONS.get(name, name)))
    if sys.platform == "win32" and any("DLL load failed" in why for why in broken.values()):
        yield notes.fault(
            "Visual C++", "a library that the other parts need may be missing", "", _VISUAL_CPP
        )
    if not others:
        yield notes.ok("other parts", "all start")


_VISUAL_CPP: Final = "winget install Microsoft.VCRedist.2015+.x64"
"""Brings msvcp140.dll to Windows, which ONNX Runtime and OpenVINO are built with."""

_DISTRIBUTIONS: Final = {"yaml": "pyyaml", "cv2_enumerate_cameras": "cv2-enumerate-cameras"}


def folders_of_packages(paths: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield, for each folder of packages, their names (as indexes write them) and versions.

    Packages in different folders do not tear each other's files apart, so they are kept apart.
    """
    for path in dict.fromkeys(paths):
        if path and Path(path).is_dir():
            found: dict[str, str] = defaultdict(str)
            for distribution in metadata.distributions(path=[path]):
                # A name that is missing is what an interrupted pip left behind.
                name = distribution.metadata["Name"]
                if name:
                    found[_normalized(name)] = distribution.version
            yield dict(found)


def family(folders: Iterable[dict[str, str]], names: Iterable[str]) -> dict[str, str]:
    """Return those of ``names`` that share a folder: of the first folder that has any."""
    wanted = set(names)
    for folder in folders:
        found = {name: version for name, version in sorted(folder.items()) if name in wanted}
        if found:
            return found
    return {}


def right_runtime() -> str:
    """The base package of ONNX Runtime for this machine, as pip takes it."""
    platform = sysconfig.get_platform()
    if platform in ("linux-x86_64", "win-amd64") and shutil.which("nvidia-smi") is not None:
        return "onnxruntime-gpu[cuda,cudnn]"
    if platform == "win-amd64":
        return "onnxruntime-directml"
    return "onnxruntime"


def right_opencv() -> str:
    """The OpenCV for this platform: windows are never needed, and on Linux they need libGL."""
    return "opencv-python-headless" if sys.platform == "linux" else "opencv-python"


def _two_runtimes(notes: Notes, installed: dict[str, str]) -> Finding:
    right = right_runtime()
    seen = f"{_with_versions(installed)} share one folder and break each other"
    if "onnxruntime-directml" in installed and right.startswith("onnxruntime-gpu"):
        seen += "; DirectML is a leftover beside CUDA"
    return notes.fault(
        "ONNX Runtime",
        seen,
        "remove them all, then install the one for this machine:",
        *copyable.exchange(list(installed), right),
    )


def _two_opencvs(notes: Notes, installed: dict[str, str]) -> Finding:
    return notes.fault(
        "OpenCV",
        f"{_with_versions(installed)} share one folder; removing one leaves neither whole",
        "remove them all, then install the one for this platform:",
        *copyable.exchange(list(installed), right_opencv()),
    )


def _with_versions(installed: dict[str, str]) -> str:
    return " and ".join(f"{name} {version}" for name, version in installed.items())


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
