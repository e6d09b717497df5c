"""What is to be installed, by pyproject.toml and by what suits the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environment import BASE_RUNTIMES, normalized
from machine import Machine, Runtime

# The one place that says which torch trains and tests. Pinned, since another
# version would draw its generators a little differently from the same recipe.
TORCH_VERSION = "2.13.0"

# Where torch's makers publish the builds without CUDA. On Linux the ordinary
# package index has only the build for NVIDIA GPUs, with gigabytes of libraries.
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True)
class Plan:
    """What is to be installed."""

    project: str
    # None where pyproject.toml asks for no ONNX Runtime.
    runtime: Runtime | None
    # None where no wanted extra asks for torch.
    torch: str | None
    others: tuple[str, ...]


def plan(
    pyproject: Mapping[str, Any], extras: Sequence[str], machine: Machine, runtime: Runtime
) -> Plan:
    """Plans an installation.

    The chosen ONNX Runtime takes the place of the one that pyproject.toml
    names, so that pip never sees two and never installs two.
    """
    project = pyproject["project"]
    wanted = list(project.get("dependencies", ()))
    for extra in extras:
        wanted += project.get("optional-dependencies", {})[extra]
    runtimes = [text for text in wanted if name_of(text) in BASE_RUNTIMES]
    needs_torch = any(name_of(text) == "torch" for text in wanted)
    others = [text for text in wanted if name_of(text) not in {*BASE_RUNTIMES, "torch"}]
    if runtimes:
        others.append(f"{runtime.package}{runtime.extras}{_specifier(runtimes, runtime.package)}")
    return Plan(
        project=project["name"],
        runtime=runtime if runtimes else None,
        torch=torch_requirement(machine) if needs_torch else None,
        others=tuple(others),
    )


def torch_requirement(machine: Machine) -> str:
    """The torch for the machine; +cpu names the build without CUDA."""
    without_cuda = machine.is_linux and machine.nvidia is None
    return f"torch=={TORCH_VERSION}{'+cpu' if without_cuda else ''}"


def name_of(requirement: str) -> str:
    """The normalized name of the distribution that is required."""
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    if found is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    return normalized(found.group(1))


def _specifier(runtimes: Sequence[str], package: str) -> str:
    """The versions that pyproject.toml allows for the package, or else for onnxruntime."""
    versions: dict[str, str] = {}
    for text in runtimes:
        found = re.match(r"\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*([^;]*)", text)
        versions.setdefault(name_of(text), found.group(1).strip() if found else "")
    return versions.get(package, versions.get("onnxruntime", ""))
