"""How ``auto`` chooses, with sessions whose speed is set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from obs_stylizer.errors import (
    DeviceLostError,
    ModelError,
    ProviderError,
    StylizerError,
    UsageError,
)
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference import choose
from obs_stylizer.inference.adapters import Adapter, AdapterKind
from obs_stylizer.inference.choose import open_session
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.session import (
    Precision,
    Provider,
    RunsOn,
    Session,
    SessionOptions,
)
from tests.fakes import models
from tests.inference.conftest import SIZE

P = Provider
CPU = Adapter(P.CPU, 0, "Some CPU", AdapterKind.CPU)
OPENVINO = Adapter(P.OPENVINO, 0, "Some CPU", AdapterKind.CPU, "CPU")
INTEGRATED = Adapter(P.OPENVINO, 1, "Intel UHD", AdapterKind.GPU, "GPU.0", integrated=True)
ARC = Adapter(P.OPENVINO, 2, "Intel Arc", AdapterKind.GPU, "GPU.1")
RTX = Adapter(P.CUDA, 0, "RTX 3060", AdapterKind.GPU)


class FakeSession(Session):
    """Takes as long as it is told, on a clock of its own."""

    def __init__(self, machine: Machine, adapter: Adapter, precision: Precision) -> None:
        self.machine = machine
        self.runs_on = RunsOn(adapter.provider, adapter.name, precision)
        self.frame_size = SIZE
        self.cost = machine.costs.get((adapter.runtime_id, adapter.provider, precision), 10.0)
        self.closed = False

    def run(
        self,
        frame: Pixels,
        style: NDArray[np.float32] | None = None,
        strength: float | None = None,
    ) -> Pixels:
        self.machine.runs += 1
        self.machine.now += self.cost / 1000
        return frame

    def close(self) -> None:
        self.closed = True


@dataclass
class Machine:
    """What there is, how long a run takes in milliseconds, and what fails how."""

    adapters: list[Adapter] = field(default_factory=lambda: [CPU, OPENVINO])
    costs: dict[tuple[str, Provider, Precision], float] = field(default_factory=dict)
    failures: dict[str, StylizerError] = field(default_factory=dict)
    best: Precision = Precision.BF16
    opened: list[FakeSession] = field(default_factory=list)
    runs: int = 0
    now: float = 0.0

    def adapters_of(self, provider: Provider) -> list[Adapter]:
        found = [adapter for adapter in self.adapters if adapter.provider is provider]
        if not found:
            raise ProviderError(f"no {provider} here")
        return found

    def open(
        self, adapter: Adapter, model: NativeModel, size: FrameSize, options: SessionOptions
    ) -> Session:
        failure = self.failures.get(adapter.name + str(adapter.provider))
        if failure is not None:
            raise failure
        session = FakeSession(self, adapter, options.precision)
        self.opened.append(session)
        return session


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(choose, "adapters_of", made.adapters_of)
    monkeypatch.setattr(choose, "gpu_order", lambda: (P.CUDA, P.OPENVINO, P.WEBGPU))
    monkeypatch.setattr(choose, "best_precision", lambda device: made.best)
    monkeypatch.setattr(choose, "_open_on", made.open)
    monkeypatch.setattr(choose.time, "perf_counter", lambda: made.now)
    return made


@pytest.fixture
def model(tmp_path: Path) -> NativeModel:
    return load_native_model(models.write_identity_model(tmp_path / "identity.onnx"))


@pytest.fixture
def quantized(tmp_path: Path) -> NativeModel:
    path = models.write_identity_model(tmp_path / "both.onnx")
    models.write_identity_model(tmp_path / "both.int8.onnx")
    return load_native_model(path)


AUTO = SessionOptions()
BF16 = ("CPU", P.OPENVINO, Precision.BF16)
F32 = ("CPU", P.OPENVINO, Precision.F32)
INT8 = ("CPU", P.OPENVINO, Precision.INT8)
ORT = ("0", P.CPU, Precision.F32)


def test_the_faster_runtime_of_the_cpu_is_taken_and_said_so(
    machine: Machine, model: NativeModel
) -> None:
    machine.costs = {BF16: 12.4, ORT: 29.0}
    session = open_session(model, SIZE, AUTO)
    assert session.runs_on.provider is P.OPENVINO
    assert session.runs_on.reason == "OpenVINO bf16 12.4 ms against ONNX Runtime f32 29.0 ms"
    assert [s.closed for s in machine.opened if s is not session] == [True]


def test_the_other_runtime_wins_where_it_is_faster(machine: Machine, model: NativeModel) -> None:
    machine.costs = {BF16: 40.0, ORT: 29.0}
    assert open_session(model, SIZE, AUTO).runs_on.provider is P.CPU


def test_of_equals_the_first_is_taken(machine: Machine, model: NativeModel) -> None:
    machine.costs = {BF16: 30.0, ORT: 28.0}
    assert open_session(model, SIZE, AUTO).runs_on.provider is P.OPENVINO


def test_half_precision_is_not_tried_where_it_does_not_keep_the_picture(
    machine: Machine, model: NativeModel
) -> None:
    machine.costs = {F32: 14.0, BF16: 2.0, ORT: 29.0}
    delicate = replace(model, spec=model.spec.model_copy(update={"keeps_in_half": False}))
    session = open_session(delicate, SIZE, AUTO)
    assert session.runs_on.precision is Precision.F32
    assert session.runs_on.provider is P.OPENVINO


def test_the_second_start_does_not_probe_again(machine: Machine, model: NativeModel) -> None:
    machine.costs = {BF16: 12.4, ORT: 29.0}
    first = open_session(model, SIZE, AUTO)
    machine.opened.clear()
    machine.runs = 0
    second = open_session(model, SIZE, AUTO)
    assert second.runs_on == first.runs_on
    assert machine.opened == [second]
    assert machine.runs == 0


@pytest.mark.parametrize(
    ("size", "options"), [(FrameSize(32, 32), AUTO), (SIZE, SessionOptions(threads=1))]
)
def test_another_size_or_setting_is_probed_anew(
    machine: Machine, model: NativeModel, size: FrameSize, options: SessionOptions
) -> None:
    open_session(model, SIZE, AUTO)
    machine.runs = 0
    open_session(model, size, options)
    assert machine.runs > 0


def test_what_worked_before_and_fails_now_is_probed_anew(
    machine: Machine, model: NativeModel
) -> None:
    machine.costs = {BF16: 12.4, ORT: 29.0}
    open_session(model, SIZE, AUTO)
    machine.failures["Some CPU" + P.OPENVINO] = ProviderError("no longer")
    session = open_session(model, SIZE, AUTO)
    assert session.runs_on.provider is P.CPU
    assert session.runs_on.reason == "the only runtime that works here"


@pytest.mark.parametrize(
    ("best", "int8_ms", "taken"),
    [
        (Precision.F32, 15.0, Precision.INT8),
        (Precision.F32, 20.0, Precision.F32),
        (Precision.BF16, 1.0, Precision.BF16),
    ],
)
def test_int8_needs_a_clear_lead_and_a_cpu_without_bfloat16(
    machine: Machine,
    quantized: NativeModel,
    best: Precision,
    int8_ms: float,
    taken: Precision,
) -> None:
    machine.best = best
    machine.costs = {INT8: int8_ms, F32: 22.0, BF16: 12.0, ORT: 29.0}
    session = open_session(quantized, SIZE, AUTO)
    assert session.runs_on.precision is taken
    assert session.runs_on.reason.startswith(f"OpenVINO {taken}")


def test_without_a_variant_int8_is_not_considered(machine: Machine, model: NativeModel) -> None:
    machine.best = Precision.F32
    assert "int8" not in open_session(model, SIZE, AUTO).runs_on.reason


def test_a_precision_asked_for_is_kept(machine: Machine, quantized: NativeModel) -> None:
    machine.costs = {INT8: 50.0, F32: 1.0}
    session = open_session(quantized, SIZE, SessionOptions(precision=Precision.INT8))
    assert session.runs_on.precision is Precision.INT8


def test_a_gpu_that_works_goes_before_every_cpu(machine: Machine, model: NativeModel) -> None:
    machine.adapters += [RTX, ARC]
    session = open_session(model, SIZE, AUTO)
    assert session.runs_on.device == "RTX 3060"
    assert session.runs_on.reason == "the first GPU provider that works here"
    assert machine.runs == 1, "it was tried for real"


def test_a_gpu_that_fails_makes_room_for_the_next(machine: Machine, model: NativeModel) -> None:
    machine.adapters += [RTX, ARC]
    machine.failures["RTX 3060" + P.CUDA] = ProviderError("no cuDNN")
    assert open_session(model, SIZE, AUTO).runs_on.device == "Intel Arc"
    machine.failures["Intel Arc" + P.OPENVINO] = ModelError("unknown operator")
    assert open_session(model, SIZE, AUTO).runs_on.device == "Some CPU"


def test_a_device_lost_while_tried_ends_the_process(machine: Machine, model: NativeModel) -> None:
    machine.adapters += [RTX]
    machine.failures["RTX 3060" + P.CUDA] = DeviceLostError("gone")
    with pytest.raises(DeviceLostError):
        open_session(model, SIZE, AUTO)


def test_a_gpu_inside_the_cpu_must_be_faster(machine: Machine, model: NativeModel) -> None:
    machine.adapters += [INTEGRATED]
    machine.costs = {BF16: 12.0, ORT: 29.0, ("GPU.0", P.OPENVINO, Precision.BF16): 20.0}
    slower = open_session(model, SIZE, AUTO)
    assert slower.runs_on.device == "Some CPU"
    assert "OpenVINO bf16 on Intel UHD 20.0 ms" in slower.runs_on.reason
    machine.costs["GPU.0", P.OPENVINO, Precision.BF16] = 5.0
    faster = open_session(model, FrameSize(32, 32), AUTO)
    assert faster.runs_on.device == "Intel UHD"


def test_a_device_is_found_by_name_in_every_provider(machine: Machine, model: NativeModel) -> None:
    machine.adapters += [RTX, ARC]
    for name, taken in (("arc", "Intel Arc"), ("3060", "RTX 3060"), ("some cpu", "Some CPU")):
        session = open_session(model, SIZE, SessionOptions(device=name))
        assert session.runs_on.device == taken


@pytest.mark.parametrize(("device", "says"), [("Radeon", "no device here"), ("1", "--provider")])
def test_a_device_that_means_nothing_is_refused(
    machine: Machine, model: NativeModel, device: str, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        open_session(model, SIZE, SessionOptions(device=device))


def test_when_nothing_works_the_reason_is_told(machine: Machine, model: NativeModel) -> None:
    for provider in (P.CPU, P.OPENVINO):
        machine.failures["Some CPU" + provider] = ModelError("cannot be read")
    with pytest.raises(ModelError, match="cannot be read"):
        open_session(model, SIZE, AUTO)


def test_for_real_auto_takes_what_it_measured_fastest(tmp_path: Path) -> None:
    real = load_native_model(models.write_convolutional_model(tmp_path / "c.onnx"))
    size = FrameSize(160, 96)
    first, second = (open_session(real, size, AUTO) for _ in range(2))
    assert first.runs_on.reason == second.runs_on.reason
    assert " ms against " in first.runs_on.reason
    name = "OpenVINO" if first.runs_on.provider is P.OPENVINO else "ONNX Runtime"
    assert first.runs_on.reason.startswith(f"{name} {first.runs_on.precision} ")
