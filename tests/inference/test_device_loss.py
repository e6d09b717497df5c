from __future__ import annotations

import pytest

from obs_stylizer.inference.device_loss import first_line, is_device_lost, is_out_of_memory

LOST = [
    "Non-zero status code returned while running Conv node. DmlCommandRecorder.cpp(371) "
    "887A0005 The GPU device instance has been suspended. Use GetDeviceRemovedReason",
    "DirectML: hr = 0x887A0006, the GPU will not respond to more commands",
    "exception 887a0007",
    "(hr: -2005270496) driver internal error",
    "DXGI_ERROR_DEVICE_RESET",
    "CUDA failure 719: unspecified launch failure ; GPU=0 ; expr=cudaStreamSynchronize",
    "CUDA failure 710: device-side assert triggered",
    "CUDA failure 100: no CUDA-capable device is detected",
    "CUDA failure 700: an illegal memory access was encountered",
    "CUDA error 702: the launch timed out and was terminated",
    "[GPU] clWaitForEvents, error code: CL_DEVICE_NOT_AVAILABLE",
    "L0 pfnSynchronize result: ZE_RESULT_ERROR_DEVICE_LOST, code 0x70000001",
    "WebGPU device lost (2): the driver has been updated",
    "vkQueueSubmit failed with VK_ERROR_DEVICE_LOST",
]
MEMORY = [
    "CUDA failure 2: out of memory ; GPU=0",
    "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1",
    "8007000E Not enough memory resources are available",
    "[GPU] clEnqueueNDRangeKernel, error code: -5 CL_OUT_OF_RESOURCES",
    "std::bad_alloc",
]
OTHER = [
    "Got invalid dimensions for input: frame for the following indices",
    "This is an invalid model. Error in Node: Conv : No Op registered for Konv",
    "Could not find an implementation for DepthToSpace(13)",
    "",
]


@pytest.mark.parametrize("text", LOST)
def test_a_lost_device_is_recognised(text: str) -> None:
    assert is_device_lost(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("text", MEMORY)
def test_memory_that_ran_out_is_no_lost_device(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_device_lost(RuntimeError(text))


@pytest.mark.parametrize("text", OTHER)
def test_other_failures_are_neither(text: str) -> None:
    assert not is_device_lost(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError(text))


def test_the_runtimes_own_class_for_it_is_known() -> None:
    class DeviceReset(Exception):  # noqa: N818 - named as ONNX Runtime names it
        pass

    assert is_device_lost(DeviceReset("any text"))


def test_the_line_that_says_something_is_found() -> None:
    text = (
        "Exception from src/inference/src/cpp/core.cpp:142:\n"
        "Check 'found' failed at src/frontends/onnx.cpp:10:\nConv is not supported\nmore"
    )
    assert first_line(RuntimeError(text)) == "Conv is not supported"
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/core/session/plugin.cc:71 virtual "
        "std::unique_ptr<Provider> Factory::Create(const Options&, const Logger&) No adapter"
    )
    assert first_line(RuntimeError(text)) == "No adapter"
    assert first_line(RuntimeError("[ONNXRuntimeError] : 6 : FAIL : No such op")) == "No such op"
    assert first_line(RuntimeError("")) == "RuntimeError"
    assert len(first_line(RuntimeError("x" * 1000))) == 300


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while "
            "running Reshape node. Name:'back' Status Message: /onnxruntime_src/onnxruntime/core/"
            "providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper("
            "const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) a == b was "
            "false. The input cannot be reshaped",
            "operator Reshape (“back”): a == b was false. The input cannot be reshaped",
        ),
        (
            "Error in execution: Non-zero status code returned while running Pad node. Name:'' "
            "Status Message: Pad reflect: too much",
            "operator Pad: Pad reflect: too much",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from /tmp/.adopt-1.onnx failed:"
            "/onnxruntime_src/core/graph/utils.h:46 void a::Check(const std::unordered_map<"
            "std::string, int>&, bool (*)(int)) Opset 29 is too new",
            "Opset 29 is too new",
        ),
        (
            "[ONNXRuntimeError] : 1 : FAIL : D:\\a\\_work\\1\\core\\graph.cc:120 a::Graph::Graph"
            "(int, class X const &) Type error",
            "Type error",
        ),
    ],
)
def test_places_in_the_runtimes_source_are_left_out(text: str, line: str) -> None:
    assert first_line(RuntimeError(text)) == line
