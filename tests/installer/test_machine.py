import pytest
from machine import Machine, NvidiaGpu, best_gpu, choose_runtime, gpu_from_kernel_module

MODERN = NvidiaGpu("RTX 4070", 580, 8.9)


@pytest.mark.parametrize(
    ("platform", "nvidia", "package"),
    [
        ("linux-x86_64", None, "onnxruntime"),
        ("linux-x86_64", MODERN, "onnxruntime-gpu"),
        ("linux-x86_64", NvidiaGpu(), "onnxruntime-gpu"),
        ("linux-x86_64", NvidiaGpu("GTX 1080", 580, 6.1), "onnxruntime"),
        ("linux-x86_64", NvidiaGpu("RTX 4070", 535, 8.9), "onnxruntime"),
        ("linux-aarch64", MODERN, "onnxruntime"),
        ("win-amd64", None, "onnxruntime-directml"),
        ("win-amd64", MODERN, "onnxruntime-gpu"),
        ("win-amd64", NvidiaGpu("GTX 1080", 580, 6.1), "onnxruntime-directml"),
        ("win-amd64", NvidiaGpu("RTX 4070", 535, 8.9), "onnxruntime-directml"),
        ("win-arm64", None, "onnxruntime"),
        ("win-arm64", MODERN, "onnxruntime"),
        ("macosx-14.0-arm64", None, "onnxruntime"),
    ],
)
def test_one_runtime_is_chosen_for_each_machine(
    platform: str, nvidia: NvidiaGpu | None, package: str
) -> None:
    runtime = choose_runtime(Machine(platform, nvidia))
    assert runtime.package == package
    assert runtime.extras == ("[cuda,cudnn]" if package == "onnxruntime-gpu" else "")


def test_the_reason_names_what_stands_in_the_way() -> None:
    old_driver = choose_runtime(Machine("linux-x86_64", NvidiaGpu("RTX 4070", 535, 8.9)))
    assert "535" in old_driver.reason
    assert "580" in old_driver.reason
    old_card = choose_runtime(Machine("win-amd64", NvidiaGpu("GTX 1080", 581, 6.1)))
    assert "GTX 1080" in old_card.reason


def test_the_most_capable_gpu_counts() -> None:
    answer = "NVIDIA GeForce GTX 1050, 580.95.05, 6.1\nNVIDIA GeForce RTX 4070, 580.95.05, 8.9\n"
    assert best_gpu(answer) == NvidiaGpu("NVIDIA GeForce RTX 4070", 580, 8.9)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        'Field "compute_cap" is not a valid field to query.\n',
        "No devices were found\n",
    ],
)
def test_an_answer_without_a_gpu_names_none(answer: str) -> None:
    assert best_gpu(answer) is None


def test_an_unknown_compute_capability_is_left_open() -> None:
    assert best_gpu("Tesla X, with a comma, 580.1, [N/A]") == NvidiaGpu(
        "Tesla X, with a comma", 580, None
    )


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15\n"
            "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
            535,
        ),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build\n",
            580,
        ),
        ("something else", None),
    ],
)
def test_the_driver_is_read_from_the_kernel_module(text: str, driver: int | None) -> None:
    assert gpu_from_kernel_module(text).driver == driver
