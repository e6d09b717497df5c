"""Execution providers, run for real, and ones that crash, hang, or paint something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.doctor import children, execution, trial_model
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.locks import Holder
from tests.doctor import scratch_environment

RESULT = {
    "precision": "f32",
    "compared_with": "the CPU",
    "milliseconds": 1.5,
    "opened_seconds": 0.1,
    "most_apart": 1,
    "mean_apart": 0.1,
    "steady": True,
}


def examine(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in execution.examine(Notes("Execution"), situation)}


def test_every_provider_of_this_machine_runs_and_agrees_with_the_cpu(
    situation: Callable[..., Situation],
) -> None:
    found = examine(situation())
    cpu = next(f for name, f in found.items() if name.startswith("cpu on "))
    assert cpu.state is State.OK
    assert "same answer as ONNX's definition" in cpu.seen
    openvino = next((f for name, f in found.items() if name.startswith("openvino on ")), None)
    if openvino is not None:
        assert openvino.state is State.OK
        assert "same answer as the CPU" in openvino.seen
        assert " ms for the trial frame in " in openvino.seen


def test_the_trial_generator_paints_something(tmp_path: Path) -> None:
    frame = trial_model.trial_frame()
    path = trial_model.write_trial_model(tmp_path / "trial.onnx")
    answer = trial_model.answer_by_definition(path, frame)
    assert answer.shape == frame.shape
    change = np.abs(answer.astype(int) - frame)
    # A provider that gives the frame back, or one flat colour, must not pass.
    assert change.mean() > 10
    assert answer.std() > 20


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({}, State.OK, "1.5 ms"),
        ({"most_apart": 3}, State.FAULT, "not that of the CPU"),
        ({"steady": False}, State.FAULT, "different answers"),
        ({"precision": "bf16", "most_apart": 9, "mean_apart": 0.8}, State.OK, "in bf16"),
        ({"precision": "bf16", "most_apart": 40}, State.FAULT, "40 of 255"),
        ({"precision": "f16", "most_apart": 9, "mean_apart": 4.0}, State.FAULT, "4.0 on average"),
    ],
)
def test_what_a_result_means(
    change: dict[str, object], state: State, words: str, notes: Notes
) -> None:
    found = execution.judge(notes, "cuda on a GPU", {**RESULT, **change})
    assert found.state is state
    assert words in found.seen
    assert bool(found.commands) is (state is State.FAULT)


def test_a_provider_asked_for_and_not_there_is_a_fault(situation: Callable[..., Situation]) -> None:
    if sys.platform == "darwin":
        pytest.skip("Core ML is here")
    found = examine(situation(provider="coreml"))["coreml"]
    assert found.state is State.FAULT
    assert "the configuration asks for it" in found.seen


def test_a_plug_in_that_was_installed_and_finds_nothing_is_missed(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not execution._is_expected("tensorrt")
    monkeypatch.setattr(execution.importlib.util, "find_spec", lambda name: name)
    assert execution._is_expected("tensorrt")
    entry = {"provider": "webgpu", "missing": "the plug-in found no GPU", "remedy": "a driver"}
    assert execution._missing(notes, entry, asked=False).state is State.WARNING


@pytest.mark.skipif(sys.platform == "win32", reason="an environment of POSIX")
def test_a_driver_that_crashes_costs_its_own_row_only(
    situation: Callable[..., Situation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = scratch_environment.make(tmp_path / "environment")
    real = (scratch.site_packages / "openvino").resolve()
    # Works while devices are listed, and crashes when a model is compiled, as drivers do.
    scratch.module(
        "openvino",
        f"import os\n__path__ = [{str(real)!r}]\n"
        f"exec(compile(open({str(real / '__init__.py')!r}).read(), 'openvino', 'exec'))\n"
        "Core.compile_model = lambda *rest: os.abort()\n",
    )
    monkeypatch.setattr(sys, "executable", str(scratch.python))
    found = examine(situation())
    crashed = next(f for name, f in found.items() if name.startswith("openvino on "))
    assert crashed.state is State.FAULT
    assert "crashed with SIGABRT" in crashed.seen
    assert next(f for name, f in found.items() if name.startswith("cpu on ")).state is State.OK


@pytest.mark.skipif(sys.platform == "win32", reason="an environment of POSIX")
def test_a_driver_that_hangs_is_left(
    situation: Callable[..., Situation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = scratch_environment.make(tmp_path / "environment")
    scratch.module("openvino", "import time\ntime.sleep(300)\n")
    monkeypatch.setattr(sys, "executable", str(scratch.python))
    monkeypatch.setattr(execution, "_LIST_SECONDS", 3.0)
    for crowded, state in ((False, State.FAULT), (True, State.WARNING)):
        monkeypatch.setattr(children, "machine_is_crowded", lambda crowded=crowded: crowded)
        found = examine(situation())["providers"]
        assert found.state is state
        assert "gave no answer within 3 s" in found.seen


@pytest.mark.parametrize(
    ("kind", "state"), [("gpu", State.FAULT), ("npu", State.WARNING), ("cpu", State.FAULT)]
)
def test_what_does_not_start(
    kind: str,
    state: State,
    notes: Notes,
    situation: Callable[..., Situation],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        execution, "ask", lambda *_, **__: {"error": "cuda does not start", "remedy": "a driver"}
    )
    adapter = {"index": 0, "name": "Chip", "kind": kind}
    found = execution._tried(notes, situation(), "cuda", adapter)
    assert found.state is state
    assert (found.name, found.seen) == ("cuda on Chip", "cuda does not start")


def test_on_air_a_gpu_is_left_alone_and_the_cpu_gets_one_thread(
    notes: Notes, situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def ask(*arguments: str, seconds: float) -> dict[str, object]:
        asked.append(arguments)
        return RESULT

    monkeypatch.setattr(execution, "ask", ask)
    here = situation(on_air={"port 8765": Holder(os.getpid(), 0.0)})
    gpu = execution._tried(notes, here, "cuda", {"index": 0, "name": "GPU", "kind": "gpu"})
    assert gpu.state is State.WARNING
    assert "not tried" in gpu.seen
    assert asked == []
    execution._tried(notes, here, "cpu", {"index": 0, "name": "CPU", "kind": "cpu"})
    assert asked[0][-1] == "1"
