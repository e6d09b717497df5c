"""Ports that are free, taken by strangers, or ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from obs_stylizer.doctor import ports
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.locks import Holder

LISTEN = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def stranger() -> Iterator[tuple[int, int]]:
    """Port and process of another program that listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        yield int(process.stdout.readline()), process.pid
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def examine(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in ports.examine(Notes("Ports"), situation)}


def test_a_free_port(situation: Callable[..., Situation]) -> None:
    port = free_port()
    assert examine(situation(web={"port": port}))[f"port {port}"].state is State.OK


def test_a_port_that_another_program_has(
    stranger: tuple[int, int], situation: Callable[..., Situation]
) -> None:
    port, pid = stranger
    found = examine(situation(web={"port": port}))[f"port {port}"]
    assert found.state is State.FAULT
    if sys.platform != "darwin":
        assert f"(process {pid})" in found.seen
    assert found.commands[0].endswith(f"--sink http:{ports._free_port(port)}")


def test_our_own_port_is_no_fault(
    stranger: tuple[int, int], situation: Callable[..., Situation]
) -> None:
    port, pid = stranger
    on_air = {f"port {port}": Holder(pid, 0.0)}
    found = examine(situation(on_air=on_air, web={"port": port}))[f"port {port}"]
    assert found.state is State.OK
    assert f"process {pid}" in found.seen


def test_the_ports_of_the_sinks_are_looked_at_too(situation: Callable[..., Situation]) -> None:
    first, second = free_port(), free_port()
    found = examine(situation(web={"port": first}, sinks=[f"http:{second}", "null", "nonsense"]))
    assert set(found) == {f"port {first}", f"port {second}", "sink"}
    assert found["sink"].state is State.FAULT


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="whoever runs this may take any port"
)
def test_a_port_that_needs_root(situation: Callable[..., Situation]) -> None:
    found = examine(situation(web={"port": 81}))["port 81"]
    assert "does not allow" in found.seen


def test_an_address_that_is_not_of_this_machine(situation: Callable[..., Situation]) -> None:
    port = free_port()
    found = examine(situation(web={"port": port, "address": "192.0.2.1"}))[f"port {port}"]
    assert "no address 192.0.2.1" in found.seen
