"""How GPUs are asked for: against an ONNX Runtime that pretends them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import DeviceLostError, ModelError, ProviderError
from obs_stylizer.frames import Pixels
from obs_stylizer.inference.native_model import NativeModel, load_native_model
from obs_stylizer.inference.onnx_runtime import OnnxRuntimeSession, onnx_runtime
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from tests.fakes import models
from tests.fakes.onnxruntime import FakeOnnxRuntime, device
from tests.inference.conftest import SIZE

FakeRuntime = Callable[..., FakeOnnxRuntime]
CUDA, DML, TENSORRT = (
    "CUDAExecutionProvider",
    "DmlExecutionProvider",
    "TensorrtExecutionProvider",
)


@pytest.fixture
def model(tmp_path: Path) -> NativeModel:
    return load_native_model(models.write_identity_model(tmp_path / "identity.onnx"))


def test_shapes_are_fixed_and_idle_threads_sleep(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    runtime = fake_runtime()
    OnnxRuntimeSession(model, SIZE, SessionOptions(threads=3))
    options = runtime.made[-1].options
    assert options.dimensions == {"height": SIZE.height, "width": SIZE.width}
    assert options.entries["session.intra_op.allow_spinning"] == "0"
    assert options.intra_op_num_threads == 3
    assert options.graph_optimization_level == "all"
    OnnxRuntimeSession(model, SIZE, SessionOptions(spin=True))
    assert runtime.made[-1].options.entries["session.intra_op.allow_spinning"] == "1"


def test_directml_is_run_by_its_rules(
    fake_runtime: FakeRuntime, model: NativeModel, frame: Pixels
) -> None:
    runtime = fake_runtime(DML)
    session = OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.DML, 2, "Some GPU")
    made = runtime.made[-1]
    assert made.entry == {"device_id": "2"}
    assert made.options.execution_mode == "sequential"
    assert not made.options.enable_mem_pattern
    assert str(session.runs_on) == "dml on Some GPU in f32"
    np.testing.assert_array_equal(session.run(frame), frame)


@pytest.mark.parametrize("provider", [Provider.CPU, Provider.DML, Provider.CUDA])
def test_every_frame_reaches_the_device(
    fake_runtime: FakeRuntime, model: NativeModel, frame: Pixels, provider: Provider
) -> None:
    fake_runtime(DML, CUDA)
    session = OnnxRuntimeSession(model, SIZE, SessionOptions(), provider)
    for shown in (frame, 255 - frame, frame[::-1]):
        np.testing.assert_array_equal(session.run(shown), shown)


def test_a_session_that_went_back_to_the_cpu_is_refused(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    runtime = fake_runtime(DML)
    runtime.behaviour[DML] = "cpu"
    with pytest.raises(ProviderError, match="went back to the CPU in silence"):
        OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.DML)


def test_a_provider_that_is_not_built_in_is_refused(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    fake_runtime()
    with pytest.raises(ProviderError, match="has no CUDAExecutionProvider"):
        OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.CUDA)


def test_cuda_captures_its_graph_and_keeps_its_buffers(
    fake_runtime: FakeRuntime, model: NativeModel, frame: Pixels
) -> None:
    runtime = fake_runtime(CUDA)
    session = OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.CUDA, 1, "A GPU")
    made = runtime.made[-1]
    assert runtime.preloaded
    assert made.entry == {"device_id": "1", "enable_cuda_graph": "1"}
    assert made.runs == 1, "the graph is captured before the first frame"
    buffers = dict(made.binding.inputs | made.binding.outputs)
    assert {(b.device, b.number) for b in buffers.values()} == {("cuda", 1)}
    np.testing.assert_array_equal(session.run(frame), frame)
    assert made.binding.inputs | made.binding.outputs == buffers


def test_cuda_goes_without_a_graph_that_cannot_be_captured(
    fake_runtime: FakeRuntime, model: NativeModel, frame: Pixels
) -> None:
    runtime = fake_runtime(CUDA)

    def refuse(entry: dict[str, str]) -> Exception | None:
        if "enable_cuda_graph" in entry:
            return RuntimeError("This session cannot use the graph capture feature")
        return None

    runtime.behaviour[CUDA] = refuse
    session = OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.CUDA)
    assert runtime.made[-1].entry == {"device_id": "0"}
    np.testing.assert_array_equal(session.run(frame), frame)


def test_a_device_lost_while_starting_is_not_tried_again(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    runtime = fake_runtime(CUDA)
    runtime.behaviour[CUDA] = RuntimeError("CUDA failure 719: unspecified launch failure")
    with pytest.raises(DeviceLostError, match="unspecified launch failure"):
        OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.CUDA)
    assert not runtime.made


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("887A0005 The GPU device instance has been suspended", DeviceLostError, "887A0005"),
        ("CUDA failure 2: out of memory", ProviderError, "smaller process size"),
        ("Some kernel failed", ProviderError, "Some kernel failed"),
        ("Got invalid dimensions for output: stylized", ModelError, "adopt it again"),
    ],
)
def test_failures_while_running_are_told_apart(
    fake_runtime: FakeRuntime,
    model: NativeModel,
    frame: Pixels,
    text: str,
    kind: type[Exception],
    says: str,
) -> None:
    runtime = fake_runtime(DML)
    session = OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.DML)
    runtime.run_error = RuntimeError(text)
    with pytest.raises(kind) as caught:
        session.run(frame)
    assert type(caught.value) is kind
    assert says in str(caught.value)


def test_tensorrt_keeps_its_engines_and_takes_float16(
    fake_runtime: FakeRuntime, model: NativeModel, tmp_path: Path
) -> None:
    runtime = fake_runtime(TENSORRT)
    options = SessionOptions(precision=Precision.F16)
    session = OnnxRuntimeSession(
        model, SIZE, options, Provider.TENSORRT, 0, "A GPU", cache_folder=tmp_path
    )
    entry = runtime.made[-1].entry
    assert entry["trt_fp16_enable"] == "1"
    assert entry["trt_engine_cache_path"] == str(tmp_path)
    assert session.runs_on.precision is Precision.F16


def test_coreml_takes_its_older_form_where_the_newer_fails(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    runtime = fake_runtime("CoreMLExecutionProvider")
    runtime.behaviour["CoreMLExecutionProvider"] = lambda entry: (
        RuntimeError("needs macOS 12") if entry["ModelFormat"] == "MLProgram" else None
    )
    OnnxRuntimeSession(model, SIZE, SessionOptions(), Provider.COREML)
    assert runtime.made[-1].entry["ModelFormat"] == "NeuralNetwork"


def test_a_plug_in_is_added_by_its_device(
    fake_runtime: FakeRuntime, model: NativeModel, frame: Pixels
) -> None:
    runtime = fake_runtime()
    gpu = device("WebGpuExecutionProvider")
    session = OnnxRuntimeSession(
        model, SIZE, SessionOptions(), Provider.WEBGPU, 0, "A GPU", plugin_devices=(gpu,)
    )
    assert runtime.made[-1].options.devices == [gpu]
    assert runtime.made[-1].options.device_options == {}
    np.testing.assert_array_equal(session.run(frame), frame)


def test_a_plug_in_takes_the_weights_as_they_are(
    fake_runtime: FakeRuntime, model: NativeModel
) -> None:
    fake_runtime()
    gpu = device("NvTensorRTRTXExecutionProvider")
    options = SessionOptions(precision=Precision.F16)
    with pytest.raises(ModelError, match="has no f16 variant"):
        OnnxRuntimeSession(
            model, SIZE, options, Provider.TENSORRT, 0, "A GPU", plugin_devices=(gpu,)
        )


def test_two_packages_that_broke_each_other_are_named(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime()
    monkeypatch.delattr(FakeOnnxRuntime, "InferenceSession")
    with pytest.raises(ProviderError, match="install exactly one"):
        onnx_runtime()


def test_a_graph_that_cannot_be_loaded_is_the_models_fault(tmp_path: Path) -> None:
    import onnx

    path = models.write_identity_model(tmp_path / "odd.onnx")
    proto = onnx.load(path)
    proto.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(proto, path)
    with pytest.raises(ModelError, match=r"odd\.onnx: ONNX Runtime cannot load it"):
        OnnxRuntimeSession(load_native_model(path), SIZE, SessionOptions())
