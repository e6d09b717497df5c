"""Execution providers: each really runs a small generator, in a process of its own."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.children import NoAnswerError, ask, failed, machine_is_crowded
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.packages import ONNX_RUNTIMES, family, folders_of_packages, right_runtime
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import WorkerError

_TRIAL: Final = "obs_stylizer.doctor.execution_trial"
_LIST_SECONDS: Final = 10.0
_RUN_SECONDS: Final = 8.0

_EXACT: Final = 2
"""Levels of 255 that two float32 answers may differ by: rounding at the very end."""

_COARSE: Final = 12
_COARSE_MEAN: Final = 1.5
"""The same for bfloat16 and float16, at most and on average."""

_PLATFORMS: Final = {"dml": "win32", "coreml": "darwin"}
"""Providers that exist on one platform alone, which need not be missed on others."""

_PLUGINS: Final = {
    "webgpu": "onnxruntime_ep_webgpu",
    "tensorrt": "onnxruntime_ep_nv_tensorrt_rtx",
}
"""Packages that somebody installed for the sake of a provider."""


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    try:
        listed = ask(_TRIAL, "list", str(situation.scratch), seconds=_LIST_SECONDS)
    except WorkerError as error:
        yield failed(notes, "providers", "listing them", error)
        return
    if "error" in listed:
        yield notes.fault("providers", listed["error"], listed["remedy"])
        return
    asked = situation.settings.provider
    elsewhere = []
    # The CPU's answer is what the others are compared with, so it comes first.
    for entry in sorted(listed["providers"], key=lambda entry: entry["provider"] != "cpu"):
        provider = entry["provider"]
        for adapter in entry["adapters"]:
            yield _tried(notes, situation, provider, adapter)
        if not entry["adapters"]:
            if provider == asked or _is_expected(provider):
                yield _missing(notes, entry, provider == asked)
            elif _PLATFORMS.get(provider, sys.platform) == sys.platform:
                elsewhere.append(f"{provider} ({entry['missing']})")
    if elsewhere:
        yield notes.ok("not here", "; ".join(elsewhere))


def _tried(notes: Notes, situation: Situation, provider: str, adapter: dict[str, Any]) -> Finding:
    name = f"{provider} on {adapter['name']}"
    is_cpu = adapter["kind"] == "cpu"
    if situation.on_air and not is_cpu:
        return notes.warning(
            name,
            f"not tried, since {situation.broadcaster} is on air and may need all of it",
            "off air:",
            copyable.program("doctor"),
        )
    threads = "1" if situation.on_air else "0"
    started = time.monotonic()
    try:
        result = ask(
            _TRIAL,
            *("run", str(situation.scratch), provider, str(adapter["index"]), threads),
            seconds=_RUN_SECONDS,
        )
    except WorkerError as error:
        if provider == "tensorrt" and time.monotonic() - started >= _RUN_SECONDS:
            return notes.warning(name, "still builds its engine, which takes minutes; not tried")
        if isinstance(error, NoAnswerError) and machine_is_crowded():
            return failed(notes, name, "", error)
        return _does_not_run(notes, name, adapter, error.message, "")
    if "error" in result:
        return _does_not_run(notes, name, adapter, result["error"], result["remedy"])
    return judge(notes, name, result)


def judge(notes: Notes, name: str, result: dict[str, Any]) -> Finding:
    """Say what a run's result means.

    Args:
        notes: of this area.
        name: of the row.
        result: as the trial tells it.
    """
    exact = result["precision"] == "f32"
    apart = f"at most {result['most_apart']} of 255 apart"
    right = (
        result["most_apart"] <= _EXACT
        if exact
        else result["most_apart"] <= _COARSE and result["mean_apart"] <= _COARSE_MEAN
    )
    if right and result["steady"]:
        return notes.ok(
            name,
            f"runs: {result['milliseconds']:.1f} ms for the trial frame in "
            f"{result['precision']}; same answer as {result['compared_with']} ({apart})",
        )
    seen = (
        f"runs, but its answer is not that of {result['compared_with']}: {apart}"
        if not right
        else "runs, but gives different answers to the same frame"
    )
    return notes.fault(
        name,
        f"{seen}, {result['mean_apart']:.1f} on average, in {result['precision']}",
        "update the driver of that device; until then:",
        copyable.program("run", "--provider", "cpu"),
    )


def _does_not_run(
    notes: Notes, name: str, adapter: dict[str, Any], seen: str, remedy: str
) -> Finding:
    # An NPU is never taken unasked, so one that refuses keeps nobody off the air.
    if adapter["kind"] == "npu":
        return notes.warning(name, seen, remedy)
    if adapter["kind"] == "cpu":
        package = "openvino" if name.startswith("openvino") else right_runtime()
        return notes.fault(name, seen, remedy, copyable.reinstall(package))
    return notes.fault(
        name,
        seen,
        remedy or "update or reinstall the driver of that device; until then:",
        copyable.program("run", "--provider", "cpu"),
    )


def _is_expected(provider: str) -> bool:
    """Whether this machine has what the provider is for, so that its absence is a loss."""
    plugin = _PLUGINS.get(provider)
    if plugin is not None and importlib.util.find_spec(plugin) is not None:
        return True
    has_nvidia = shutil.which("nvidia-smi") is not None
    return provider == "cpu" or (provider == "cuda" and has_nvidia)


def _missing(notes: Notes, entry: dict[str, Any], asked: bool) -> Finding:
    provider = entry["provider"]
    commands: tuple[str, ...] = ()
    if provider in ("cuda", "dml", "cpu"):
        installed = family(folders_of_packages(sys.path), ONNX_RUNTIMES)
        right = right_runtime()
        if right.partition("[")[0] not in installed:
            commands = copyable.exchange(list(installed), right)
    if asked or provider == "cpu":
        why = "; the configuration asks for it" if asked else ""
        return notes.fault(provider, entry["missing"] + why, entry["remedy"], *commands)
    return notes.warning(provider, entry["missing"], entry["remedy"], *commands)
