import sys
from dataclasses import replace
from pathlib import Path

import lock
import machine
import pytest
from environment import Environment, Stamp, stamp_for
from installation import remove_half_installed
from setup_check import reason_to_install

STAMP = Stamp("/somewhere", "3.11", "abc", "", ("test",), "onnxruntime")

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="lays out a POSIX environment")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """What a finished installation looks like, as far as it is looked at."""
    made = Environment(tmp_path)
    home = tmp_path / "python" / "bin"
    for folder in (home, made.scripts):
        folder.mkdir(parents=True)
    (home / "python3.11").write_text("")
    (home / "python3").symlink_to("python3.11")
    made.python.symlink_to(home / "python3")
    (made.folder / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.11.2\n")
    made.site_packages.mkdir(parents=True)
    made.pyproject.write_text("[project]\n")
    return made


def add_distribution(
    environment: Environment, name: str, version: str = "1.0", text: str = "whole"
) -> Path:
    packages = environment.site_packages
    (packages / f"{name}.py").write_text(text)
    metadata = packages / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("")
    (metadata / "RECORD").write_text(
        f"{name}.py,sha256=x,5\n__pycache__/{name}.pyc,,\n{metadata.name}/RECORD,,\n"
    )
    return metadata


def test_nothing_is_to_do_after_the_same_was_installed() -> None:
    assert reason_to_install(STAMP, STAMP, frozenset({"onnxruntime"})) == ""


def test_fewer_extras_than_installed_are_enough() -> None:
    assert reason_to_install(STAMP, replace(STAMP, extras=()), frozenset({"onnxruntime"})) == ""


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (replace(STAMP, pyproject="def"), "pyproject.toml"),
        (replace(STAMP, python="3.12"), "Python"),
        (replace(STAMP, nvidia="NVRM version 580"), "NVIDIA"),
        (replace(STAMP, extras=("test", "training")), "training"),
    ],
)
def test_what_has_changed_is_the_reason(wanted: Stamp, told: str) -> None:
    assert told in reason_to_install(STAMP, wanted, frozenset({"onnxruntime"}))


@pytest.mark.parametrize("found", [(), ("onnxruntime", "onnxruntime-gpu"), ("onnxruntime-gpu",)])
def test_another_runtime_than_the_installed_one_is_a_reason(found: tuple[str, ...]) -> None:
    assert "ONNX Runtime" in reason_to_install(STAMP, STAMP, frozenset(found))


def test_without_a_stamp_everything_is_to_do() -> None:
    assert reason_to_install(None, STAMP, frozenset())


@posix_only
def test_a_stamp_survives_being_written(environment: Environment) -> None:
    stamp = stamp_for(environment, ("test",), "onnxruntime")
    environment.write_stamp(stamp)
    assert environment.read_stamp() == stamp
    assert stamp.python == "3.11"


@posix_only
@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', '{"format": 0}'])
def test_a_broken_stamp_is_none(environment: Environment, text: str) -> None:
    environment.stamp_file.write_text(text)
    assert environment.read_stamp() is None


@posix_only
def test_a_change_of_pyproject_changes_the_stamp(environment: Environment) -> None:
    before = stamp_for(environment, (), "")
    environment.pyproject.write_text("[project]\nname = 'other'\n")
    assert stamp_for(environment, (), "") != before


@posix_only
def test_a_whole_environment_has_no_fault(environment: Environment) -> None:
    environment.write_stamp(stamp_for(environment, (), ""))
    assert environment.fault() == ""


@posix_only
def test_an_environment_without_its_configuration_is_at_fault(environment: Environment) -> None:
    (environment.folder / "pyvenv.cfg").unlink()
    assert "pyvenv.cfg" in environment.fault()


@posix_only
def test_an_environment_whose_python_is_gone_is_at_fault(environment: Environment) -> None:
    (environment.root / "python" / "bin" / "python3.11").unlink()
    assert "gone" in environment.fault()


@posix_only
def test_an_environment_whose_python_was_upgraded_is_at_fault(environment: Environment) -> None:
    home = environment.root / "python" / "bin"
    (home / "python3.11").rename(home / "python3.12")
    (home / "python3").unlink()
    (home / "python3").symlink_to("python3.12")
    assert "3.11, which is now 3.12" in environment.fault()


@posix_only
def test_an_environment_that_was_moved_is_at_fault(environment: Environment) -> None:
    stamp = stamp_for(environment, (), "")
    environment.write_stamp(replace(stamp, root="/elsewhere"))
    assert "/elsewhere" in environment.fault()


@posix_only
def test_the_installed_distributions_are_found(environment: Environment) -> None:
    add_distribution(environment, "onnxruntime_gpu", "1.31.1")
    add_distribution(environment, "onnxruntime_ep_webgpu", "0.4")
    add_distribution(environment, "torch", "2.13.0+cpu")
    (environment.site_packages / "~orch-2.13.0.dist-info").mkdir()
    assert environment.distributions() == {
        "onnxruntime-gpu": "1.31.1",
        "onnxruntime-ep-webgpu": "0.4",
        "torch": "2.13.0+cpu",
    }
    assert environment.base_runtimes() == {"onnxruntime-gpu"}


@posix_only
def test_what_an_interrupted_pip_left_is_forgotten(environment: Environment) -> None:
    whole = add_distribution(environment, "whole")
    cut = add_distribution(environment, "cut", text="who")
    absent = add_distribution(environment, "absent")
    (environment.site_packages / "absent.py").unlink()
    unfinished = add_distribution(environment, "unfinished")
    (unfinished / "RECORD").unlink()
    leftover = environment.site_packages / "~orch"
    leftover.mkdir()
    assert remove_half_installed(environment.site_packages) == ["absent", "cut", "unfinished"]
    assert whole.is_dir()
    assert not any(path.exists() for path in (cut, absent, unfinished, leftover))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no trace of this kind")
def test_the_trace_of_a_driver_is_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "version"
    monkeypatch.setattr(machine, "NVIDIA_KERNEL_MODULE", module)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.nvidia_trace() == ""
    module.write_text("NVRM version: 580.82.07\nGCC version: 12\n")
    assert machine.nvidia_trace() == "NVRM version: 580.82.07"


def test_a_second_installation_waits_for_the_first(tmp_path: Path) -> None:
    said: list[str] = []
    first = lock.held(tmp_path / "lock", said.append)
    first.__enter__()

    def sleep(_seconds: float) -> None:
        first.__exit__(None, None, None)

    with lock.held(tmp_path / "lock", said.append, sleep):
        pass
    assert len(said) == 1
    assert "waiting" in said[0]
    assert "process" in said[0]
