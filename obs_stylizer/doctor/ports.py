"""Ports: whether those that we serve on are free, and who has them if not."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from typing import Final

import psutil

from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import UsageError
from obs_stylizer.sinks.spec import SinkKind, SinkSpec

_HERE: Final = "127.0.0.1"
_LAST_PORT: Final = 65535


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    web = situation.settings.web
    ports = {web.port: "panel and stream"} if web.enabled else {}
    for text in situation.settings.sinks:
        try:
            spec = SinkSpec.parse(text)
        except UsageError as error:
            yield notes.fault("sink", error.message, error.remedy)
            continue
        if spec.kind is SinkKind.HTTP:
            ports.setdefault(spec.port, "stream")
    for port, purpose in ports.items():
        yield _examined(notes, situation, port, purpose, web.address)


def _examined(notes: Notes, situation: Situation, port: int, purpose: str, address: str) -> Finding:
    name = f"port {port}"
    holder = situation.on_air.get(name)
    if holder is not None:
        return notes.ok(name, f"{purpose}: in use by {holder}")
    listener = listener_at(port)
    refusal = None if listener else _refusal(port, address)
    if listener is None and refusal is None:
        open_to = "" if address in (_HERE, "localhost", "::1") else f", open to all at {address}"
        return notes.ok(name, f"{purpose}: free{open_to}")
    if refusal == errno.EADDRNOTAVAIL:
        return notes.fault(
            name, f"{purpose}: this machine has no address {address}", "see web: address:"
        )
    other = copyable.program("run", "--sink", f"http:{_free_port(port)}")
    if refusal == errno.EACCES:
        commands = [other]
        if sys.platform == "win32":
            commands.insert(0, "netsh interface ipv4 show excludedportrange protocol=tcp")
        return notes.fault(
            name, f"{purpose}: the system does not allow it", "take another:", *commands
        )
    return notes.fault(
        name,
        f"{purpose}: taken by {listener or 'another program'}",
        "stop that program, or put another port into web: port:, or once:",
        other,
    )


def listener_at(port: int) -> str | None:
    """Name the program that listens at a port of this machine, as far as it may be seen.

    Returns:
        Such as "node (process 12)"; None if nobody is seen to listen.
    """
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return None  # macOS tells only root
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:2] == (port,):
            return _name_of(connection.pid)
    return None


def _name_of(pid: int | None) -> str:
    if pid is None:
        return "a program of another user"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def _refusal(port: int, address: str = _HERE) -> int | None:
    """The system's error number for taking a port; None if it may be taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        if sys.platform == "win32":
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # As the program does: a connection that just ended is no hindrance.
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address, port))
        except OSError as error:
            return error.errno
    return None


def _free_port(after: int) -> int:
    for port in range(after + 1, min(after + 50, _LAST_PORT)):
        if listener_at(port) is None and _refusal(port) is None:
            return port
    return after
