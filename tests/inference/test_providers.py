from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from obs_stylizer.errors import ProviderError, UsageError
from obs_stylizer.inference import adapters, plugins, providers
from obs_stylizer.inference.adapters import (
    Adapter,
    AdapterKind,
    cpu_name,
    number_directml,
    nvidia_adapters,
)
from obs_stylizer.inference.providers import (
    adapters_of,
    gpu_order,
    list_providers,
    matching_adapters,
    select_adapter,
)
from obs_stylizer.inference.session import Provider
from tests.fakes.onnxruntime import FakeOnnxRuntime, device

FakeRuntime = Callable[..., FakeOnnxRuntime]
CUDA, DML = "CUDAExecutionProvider", "DmlExecutionProvider"


def adapter(index: int, name: str, kind: AdapterKind = AdapterKind.GPU) -> Adapter:
    return Adapter(Provider.OPENVINO, index, name, kind, f"GPU.{index}")


TWO = [adapter(0, "Intel Arc A770"), adapter(1, "Intel UHD 770"), adapter(2, "Intel Arc")]


def test_every_provider_is_listed_once_and_those_that_work_first() -> None:
    listed = list_providers()
    assert {info.provider for info in listed} == set(Provider) - {Provider.AUTO}
    assert len(listed) == len(Provider) - 1
    works = [bool(info.adapters) for info in listed]
    assert works == sorted(works, reverse=True)
    for info in listed:
        assert bool(info.adapters) != bool(info.missing)
        assert info.adapters or info.remedy


def test_the_cpu_has_a_name_on_both_runtimes() -> None:
    for provider in (Provider.CPU, Provider.OPENVINO):
        first = adapters_of(provider)[0]
        assert first.kind is AdapterKind.CPU
        assert first.index == 0
        assert len(first.name) > 2
    assert cpu_name() == adapters_of(Provider.CPU)[0].name


@pytest.mark.parametrize(
    ("device", "indices"),
    [
        ("", [0, 1, 2]),
        ("1", [1]),
        ("9", []),
        ("uhd", [1]),
        ("Intel ARC", [2]),
        ("arc a", [0]),
        ("intel", [0, 1, 2]),
        ("gpu.1", [1]),
        ("gpu", [0, 1, 2]),
        ("Radeon", []),
        ("770", [0, 1]),
    ],
)
def test_a_device_goes_by_index_name_or_part_of_it(device: str, indices: list[int]) -> None:
    assert [a.index for a in matching_adapters(TWO, device)] == indices


def test_a_device_that_does_not_exist_is_refused_with_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(providers, "adapters_of", lambda provider: TWO)
    assert select_adapter(Provider.OPENVINO, "").index == 0
    assert select_adapter(Provider.OPENVINO, "uhd").index == 1
    with pytest.raises(UsageError) as caught:
        select_adapter(Provider.OPENVINO, "Radeon")
    assert "0 “Intel Arc A770”, 1 “Intel UHD 770”" in caught.value.remedy
    with pytest.raises(UsageError, match="fits several"):
        select_adapter(Provider.OPENVINO, "intel")


def test_cuda_without_anything_says_what_is_missing_and_how_to_get_it(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ProviderError) as caught:
        adapters_of(Provider.CUDA)
    assert "no NVIDIA driver was found" in caught.value.message
    assert "has no CUDAExecutionProvider" in caught.value.message
    assert "580 or newer" in caught.value.remedy
    assert "onnxruntime-gpu[cuda,cudnn]" in caught.value.remedy


def test_with_the_driver_there_only_the_package_is_missing(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(ProviderError) as caught:
        adapters_of(Provider.TENSORRT)
    assert "driver" not in caught.value.message
    assert "onnxruntime-ep-nv-tensorrt-rtx" in caught.value.remedy


def test_nvidia_gpus_are_numbered_as_their_tool_does(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime(CUDA)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        adapters, "_output", lambda *command: "0, NVIDIA T400\n1, NVIDIA GeForce RTX 3060\n\n"
    )
    found = adapters_of(Provider.CUDA)
    assert [(a.index, a.name, a.runtime_id) for a in found] == [
        (0, "NVIDIA T400", "0"),
        (1, "NVIDIA GeForce RTX 3060", "1"),
    ]
    assert adapters.os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    "failure", [FileNotFoundError(), subprocess.TimeoutExpired("nvidia-smi", 5)]
)
def test_a_tool_that_fails_means_no_gpu(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*command: str) -> str:
        raise failure

    monkeypatch.setattr(adapters, "_output", fail)
    assert nvidia_adapters(Provider.CUDA) == []


def test_directml_adapters_come_fastest_first_and_keep_their_numbers() -> None:
    found = number_directml(
        [
            {"DxgiAdapterNumber": "0", "Description": "Intel UHD", "Discrete": "0"}
            | {"DxgiHighPerformanceIndex": "1"},
            {"Description": "an adapter without a number"},
            {"DxgiAdapterNumber": "1", "Description": "Radeon RX 6600", "Discrete": "1"}
            | {"DxgiHighPerformanceIndex": "0"},
        ]
    )
    assert [(a.index, a.runtime_id, a.name, a.integrated) for a in found] == [
        (0, "1", "Radeon RX 6600", False),
        (1, "0", "Intel UHD", True),
    ]


def test_directml_is_listed_on_windows_with_its_package_only(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = fake_runtime(DML)
    runtime.ep_devices = [device(DML, DxgiAdapterNumber="0", Description="Radeon"), device("CPU")]
    with pytest.raises(ProviderError, match="on Windows only"):
        adapters_of(Provider.DML)
    monkeypatch.setattr(sys, "platform", "win32")
    assert [a.name for a in adapters_of(Provider.DML)] == ["Radeon"]
    runtime.ep_devices = []
    with pytest.raises(ProviderError, match="found no GPU"):
        adapters_of(Provider.DML)
    runtime.providers = ["CPUExecutionProvider"]
    with pytest.raises(ProviderError) as caught:
        adapters_of(Provider.DML)
    assert "pip install onnxruntime-directml" in caught.value.remedy


def test_coreml_is_listed_on_macs_only(
    fake_runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime("CoreMLExecutionProvider")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ProviderError, match="on macOS only"):
        adapters_of(Provider.COREML)
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(providers, "coreml_adapters", lambda: TWO[:1])
    assert adapters_of(Provider.COREML) == TWO[:1]
    with pytest.raises(ProviderError, match="which Macs do not have"):
        adapters_of(Provider.CUDA)


@pytest.mark.parametrize(
    ("platform", "first", "never"),
    [
        ("win32", [Provider.CUDA, Provider.DML], Provider.COREML),
        ("linux", [Provider.CUDA, Provider.OPENVINO], Provider.DML),
        ("darwin", [Provider.COREML, Provider.WEBGPU], Provider.CUDA),
    ],
)
def test_every_platform_has_its_order(
    monkeypatch: pytest.MonkeyPatch, platform: str, first: list[Provider], never: Provider
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    order = gpu_order()
    assert list(order[: len(first)]) == first
    assert never not in order
    assert Provider.TENSORRT not in order


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A plug-in package for WebGPU, and one that does not load."""
    name = "onnxruntime_ep_webgpu"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(
        "def get_library_path(): return '/lib/webgpu.so'\n"
        "def get_ep_names(): return ['WebGpuExecutionProvider']\n",
        "utf-8",
    )
    (tmp_path / "onnxruntime_ep_broken").mkdir()
    (tmp_path / "onnxruntime_ep_broken" / "__init__.py").write_text("import no_such\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield name
    sys.modules.pop(name, None)


def test_a_plug_in_is_registered_once_and_its_devices_listed(
    fake_runtime: FakeRuntime, plugin: str, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = fake_runtime()
    gpu = device("WebGpuExecutionProvider", Description="Radeon RX 6600", Discrete="1")
    runtime.ep_devices = [device("CPUExecutionProvider", "CPU"), gpu]
    assert plugin in plugins.plugin_packages()
    for _ in range(2):
        found = adapters_of(Provider.WEBGPU)
        assert [(a.name, a.kind, a.plugin_device) for a in found] == [
            ("Radeon RX 6600", AdapterKind.GPU, gpu)
        ]
    assert runtime.registered == {plugin: "/lib/webgpu.so"}
    assert "onnxruntime_ep_broken does not load" in caplog.text


def test_a_plug_in_without_a_device_says_so(
    fake_runtime: FakeRuntime, plugin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runtime()
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ProviderError) as caught:
        adapters_of(Provider.WEBGPU)
    assert "found no GPU" in caught.value.message
    assert "libvulkan1" in caught.value.remedy


def test_without_the_plug_in_its_package_is_named(fake_runtime: FakeRuntime) -> None:
    fake_runtime()
    with pytest.raises(ProviderError) as caught:
        adapters_of(Provider.WEBGPU)
    assert "pip install onnxruntime-ep-webgpu" in caught.value.remedy
