"""The examination as a whole: nothing that hangs or breaks keeps it from its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from obs_stylizer.doctor import examination
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation, locks_held, look_around
from obs_stylizer.errors import SourceError
from obs_stylizer.locks import ResourceLock
from obs_stylizer.settings import runtime_folder


def install(patch: pytest.MonkeyPatch, **checks: object) -> None:
    """Let there be these checks and no others."""
    for name, examine in checks.items():
        module = f"obs_stylizer.doctor.fake_{name}"
        patch.setitem(sys.modules, module, SimpleNamespace(examine=examine))  # type: ignore[arg-type]
    patch.setattr(examination, "_CHECKS", [(name, f"fake_{name}") for name in checks])


def good(notes: Notes, _: Situation) -> Iterator[Finding]:
    yield notes.ok("good", "there")


def test_checks_that_raise_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_purpose(notes: Notes, _: Situation) -> Iterator[Finding]:
        yield notes.ok("first", "there")
        raise SourceError("it is gone", "look for it")

    def by_mistake(notes: Notes, _: Situation) -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    install(monkeypatch, a=on_purpose, b=by_mistake, c=good)
    first, raised, mistake, last = examination.examine().findings
    assert (first.area, first.state) == ("a", State.OK)
    assert (raised.state, raised.seen, raised.remedy) == (State.FAULT, "it is gone", "look for it")
    assert "ZeroDivisionError: oh" in mistake.seen
    assert last.name == "good"


def test_a_check_that_hangs_is_left_and_what_it_found_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hang(notes: Notes, _: Situation) -> Iterator[Finding]:
        yield notes.ok("first", "there")
        time.sleep(30)

    install(monkeypatch, a=hang, b=good)
    report = examination.examine(time_limit=0.5)
    assert report.seconds < 5
    assert [finding.name for finding in report.findings] == ["first", "examination", "good"]
    assert report.findings[1].state is State.WARNING
    assert report.count(State.WARNING) == 1


def test_every_area_has_a_module() -> None:
    for _, module in examination._CHECKS:
        assert (Path(examination.__file__).with_name(f"{module}.py")).is_file()


def test_a_broken_configuration_is_a_fault_and_the_rest_goes_by_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from obs_stylizer.doctor import program

    file = tmp_path / "config.yaml"
    file.write_text("fsp: 30\n")
    situation = look_around(file, tmp_path)
    found = {f.name: f for f in program.examine(Notes("Program"), situation)}["configuration"]
    assert found.state is State.FAULT
    assert f"{file}:1: fsp" in found.seen
    assert "did you mean “fps”?" in found.remedy
    assert situation.settings.web.port == 8765


def test_locks_of_the_living_are_on_air_and_other_files_are_not() -> None:
    lock = ResourceLock.take("port 1234")
    stray = runtime_folder() / "stray.json"
    stray.write_text("[]")
    dead = runtime_folder() / "dead.json"
    dead.write_text(json.dumps({"thing": "port 4321", "pid": 2**22 + 1, "since": time.time()}))
    try:
        assert {thing: holder.pid for thing, holder in locks_held().items()} == {
            "port 1234": os.getpid()
        }
    finally:
        lock.release()
        stray.unlink()
        dead.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="nice values of POSIX systems")
def test_beside_a_daemon_the_doctor_steps_back(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from obs_stylizer.doctor.situation import look_around\n"
        "look_around(None, Path(sys.argv[1])); print(os.nice(0))"
    )

    def niceness() -> int:
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    before = os.nice(0)
    assert niceness() == before
    lock = ResourceLock.take("port 1234")
    try:
        assert niceness() == 19
    finally:
        lock.release()
