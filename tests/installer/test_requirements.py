import tomllib
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, NvidiaGpu, choose_runtime
from requirements import TORCH_VERSION, Plan, name_of, plan, torch_requirement

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
CPU = Machine("linux-x86_64")
GPU = Machine("linux-x86_64", NvidiaGpu("RTX 4070", 580, 8.9))
WINDOWS = Machine("win-amd64")
MAC = Machine("macosx-14.0-arm64")

SMALL: dict[str, Any] = {
    "project": {
        "name": "example",
        "dependencies": [
            "numpy>=1",
            "onnxruntime>=1.20; sys_platform != 'win32'",
            "onnxruntime-directml>=1.15; sys_platform == 'win32'",
        ],
        "optional-dependencies": {"training": ["torch>=2.10", "tensorboard"], "test": ["pytest"]},
    }
}


def planned(machine: Machine, *extras: str, pyproject: dict[str, Any] = SMALL) -> Plan:
    return plan(pyproject, extras, machine, choose_runtime(machine))


def test_the_chosen_runtime_takes_the_place_of_every_other() -> None:
    assert planned(CPU).others == ("numpy>=1", "onnxruntime>=1.20")
    assert planned(GPU).others == ("numpy>=1", "onnxruntime-gpu[cuda,cudnn]>=1.20")
    assert planned(WINDOWS).others == ("numpy>=1", "onnxruntime-directml>=1.15")


def test_extras_are_added_and_torch_is_kept_apart() -> None:
    assert planned(CPU).torch is None
    with_extras = planned(CPU, "training", "test")
    assert with_extras.torch == f"torch=={TORCH_VERSION}+cpu"
    assert with_extras.others == ("numpy>=1", "tensorboard", "pytest", "onnxruntime>=1.20")


def test_a_project_without_a_runtime_gets_none() -> None:
    alone = planned(CPU, pyproject={"project": {"name": "alone", "dependencies": ["numpy"]}})
    assert alone == Plan("alone", None, None, ("numpy",))


def test_the_build_without_cuda_is_asked_for_where_another_would_come() -> None:
    assert torch_requirement(CPU) == f"torch=={TORCH_VERSION}+cpu"
    for machine in (GPU, WINDOWS, MAC):
        assert torch_requirement(machine) == f"torch=={TORCH_VERSION}"


@pytest.mark.parametrize("machine", [CPU, GPU, WINDOWS, MAC])
def test_the_project_itself_gets_exactly_one_runtime(machine: Machine) -> None:
    pyproject = tomllib.loads(PYPROJECT.read_text("utf-8"))
    found = planned(machine, "training", "test", pyproject=pyproject)
    runtimes = [text for text in found.others if name_of(text).startswith("onnxruntime")]
    assert [name_of(text) for text in runtimes] == [choose_runtime(machine).package]
    assert all(">=" in text for text in runtimes)
    assert found.torch is not None


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("types-PyYAML", "types-pyyaml"),
        ("onnxruntime_gpu[cuda]>=1", "onnxruntime-gpu"),
        (" a.b ; python_version > '3'", "a-b"),
    ],
)
def test_the_name_of_a_requirement(requirement: str, name: str) -> None:
    assert name_of(requirement) == name
