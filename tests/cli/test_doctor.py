"""``obs-stylizer doctor`` as a user sees it, and beside a daemon that is on air."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from obs_stylizer.cli import doctor as module
from obs_stylizer.cli.app import run_command_line
from obs_stylizer.doctor import examination
from obs_stylizer.doctor.findings import Notes, Report, State

LONG = "sudo modprobe v4l2loopback devices=2 exclusive_caps=1,1 " + "x" * 90


def report(*states: State) -> Report:
    notes = Notes("Devices")
    made = {
        State.OK: notes.ok("a camera", "works"),
        State.WARNING: notes.warning("[b] camera", "slow " * 30, "try this: " * 12, LONG),
        State.FAULT: notes.fault("c" * 60, "broken"),
    }
    return Report(tuple(made[state] for state in states), 1.25)


def lines(width: int, *states: State) -> list[str]:
    return [line.plain for line in module.table(report(*states), width)]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_rows_fit_the_terminal_and_commands_stay_one_line(width: int) -> None:
    told = lines(width, State.OK, State.WARNING, State.FAULT)
    (command,) = [line for line in told if LONG in line]
    assert command.strip() == LONG
    assert all(len(line) <= max(width, 57) for line in told if line is not command)
    assert told[0] == "Devices"
    assert told[1].split() == ["ok", "a", "camera", "works"]
    assert any("[b] camera" in line for line in told)
    assert sum(line.startswith("warning") for line in told) == 1


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ((), "everything is all right (1.2 s)"),
        ((State.OK, State.WARNING), "no fault, 1 warning (1.2 s)"),
        ((State.FAULT, State.FAULT, State.WARNING), "2 faults and 1 warning (1.2 s)"),
    ],
)
def test_the_last_line_sums_up(states: tuple[State, ...], verdict: str) -> None:
    assert lines(80, *states)[-1] == verdict


@pytest.mark.parametrize(("state", "code"), [(State.WARNING, 0), (State.FAULT, 1)])
def test_a_fault_is_exit_code_one(
    state: State,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(examination, "examine", lambda _config: report(state))
    assert run_command_line(["doctor"]) == code
    assert str(state) in capsys.readouterr().out
    assert run_command_line(["doctor", "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["faults" if state is State.FAULT else "warnings"] == 1
    assert set(told["findings"][0]) == {"area", "name", "state", "seen", "remedy", "commands"}


def test_it_looks_at_everything_and_tells_the_time_it_took(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "obs_stylizer", "doctor", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert 0 < told["seconds"] <= time.monotonic() - began
    areas = dict.fromkeys(row["area"] for row in told["findings"])
    assert list(areas) == [area for area, _ in examination._CHECKS]


def test_where_an_arrow_cannot_be_written_it_is_left_out(tmp_path: Path) -> None:
    code = (
        "from obs_stylizer.cli import doctor\n"
        "from obs_stylizer.doctor.findings import Notes, Report\n"
        "doctor._show(Report((Notes('A').fault('b', 'c', 'd “e”'),), 1), False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 fault" in done.stdout


@pytest.fixture
def on_air(tmp_path: Path) -> Iterator[Path]:
    """A daemon that shows the test pattern in a style; yields its statistics file."""
    stats = tmp_path / "stats.json"
    command = [sys.executable, "-m", "obs_stylizer", "run", "--source", "pattern"]
    command += ["--preset", "great-wave", "--size", "320x180", "--process-size", "64x64"]
    command += ["--sink", f"file:{tmp_path / 'show.mkv'}", "--fps", "15", "--provider", "cpu"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    process = subprocess.Popen(
        [*command, "--stats", str(stats)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 90
        while not (stats.exists() and json.loads(stats.read_text("utf-8"))["styled"] > 15):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < until, "nothing was styled"
            time.sleep(0.1)
        yield stats
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_daemon_on_air_is_named_and_not_disturbed(on_air: Path) -> None:
    before = json.loads(on_air.read_text("utf-8"))
    done = subprocess.run(
        [sys.executable, "-m", "obs_stylizer", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    time.sleep(1.2)
    after = json.loads(on_air.read_text("utf-8"))
    told = {row["name"]: row for row in json.loads(done.stdout)["findings"]}
    assert "show.mkv" in told["on air"]["seen"]
    assert after["worker_restarts"] == before["worker_restarts"] == 0
    assert after["picture"] == before["picture"]
    # Whatever else the machine does meanwhile, the ticks go on.
    sent, seconds = (after[key] - before[key] for key in ("sent", "uptime_s"))
    assert sent >= 0.8 * 15 * seconds
