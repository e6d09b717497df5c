"""A session bus of its own and a portal on it that answers as it is told to."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, open_dbus_connection

NAME = "org.freedesktop.portal.Desktop"
PATH = "/org/freedesktop/portal/desktop"

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def session_bus(folder: Path) -> Iterator[str]:
    """Run a bus that no other program knows; yields its address."""
    config = folder / "bus.conf"
    config.write_text(_BUS.format(folder=folder), "utf-8")
    command = ["dbus-daemon", "--nofork", "--nopidfile", "--config-file", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        until = time.monotonic() + 10
        while not listens(folder / "bus"):
            assert daemon.poll() is None, "the bus did not start"
            assert time.monotonic() < until, "the bus did not come"
            time.sleep(0.01)
        try:
            yield f"unix:path={folder}/bus"
        finally:
            daemon.terminate()


def listens(path: Path) -> bool:
    """Whether somebody takes calls at a socket; its file is there a moment before."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


class FakePortal:
    """Owns the portal's name; every call to it stands in ``calls``.

    Attributes:
        properties: of each portal; one that is not named is not there.
        code: of every answer: 0 for yes, 1 for no.
        answers: set while requests are answered at once; clear it to leave the dialog open.
        streams: that ScreenCast tells of, as pairs of a node's number and its properties.
        token: that ScreenCast gives; "" for none.
        results_on_failure: whether GlobalShortcuts gives its results also with another code than 0.
        triggers: what the desktop calls the keys of a shortcut, by its id.
        pipewire: socket to which the line of a shared screen leads; None for nowhere.
        line: given in its place.
    """

    def __init__(self) -> None:
        self.properties: dict[str, dict[str, int]] = {
            "ScreenCast": {"version": 5, "AvailableSourceTypes": 3, "AvailableCursorModes": 3},
            "GlobalShortcuts": {"version": 1},
        }
        self.code = 0
        self.answers = threading.Event()
        self.answers.set()
        self.streams: list[tuple[int, dict[str, Any]]] = [(42, {})]
        self.token = "token-1"
        self.results_on_failure = False
        self.needs_app_id = False
        self.triggers: dict[str, str] = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.sessions: list[str] = []
        self.closed: list[str] = []
        self.app_id = ""
        self.pipewire: Path | None = None
        self.line: socket.socket | None = None
        self._bus: DBusConnection | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._ending = False

    def start(self) -> None:
        self._ending = False
        self._bus = open_dbus_connection(bus="SESSION", enable_fds=True)
        self._bus.send_and_get_reply(message_bus.RequestName(NAME))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ending = True
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def members(self) -> list[str]:
        return [member for member, _ in self.calls]

    def options_of(self, member: str) -> dict[str, Any]:
        body = next(body for name, body in reversed(self.calls) if name == member)
        return {key: value for key, (_, value) in body[-1].items()}

    def close_session(self, session: str) -> None:
        """End a session as the desktop does."""
        self._signal(session, "org.freedesktop.portal.Session", "Closed", "a{sv}", ({},))

    def press(self, ident: str, *, down: bool = True) -> None:
        member = "Activated" if down else "Deactivated"
        body = (self.sessions[-1], ident, 0, {})
        interface = "org.freedesktop.portal.GlobalShortcuts"
        self._signal(PATH, interface, member, "osta{sv}", body)

    def _signal(self, path: str, interface: str, member: str, kind: str, body: Any) -> None:
        assert self._bus is not None
        with self._lock:
            self._bus.send(new_signal(DBusAddress(path, interface=interface), member, kind, body))

    def _run(self) -> None:
        assert self._bus is not None
        while not self._ending:
            try:
                message = self._bus.receive(timeout=0.05)
            except TimeoutError:
                continue
            except OSError:
                return
            if message.header.message_type is MessageType.method_call:
                self._take(message)

    def _take(self, message: Any) -> None:
        fields = message.header.fields
        interface, member = fields.get(HeaderFields.interface), fields[HeaderFields.member]
        self.calls.append((member, tuple(message.body)))
        portal = interface.rpartition(".")[2]
        if member == "Get":
            self._reply(message, *self._property(message.body))
        elif interface == "org.freedesktop.portal.Session":
            self.closed.append(fields[HeaderFields.path])
            self._reply(message, None, ())
        elif interface == "org.freedesktop.portal.Request":
            self._reply(message, None, ())
        elif member == "Register":
            self.app_id = message.body[0]
            self._reply(message, None, ())
        elif portal not in self.properties:
            self._reply(message, "org.freedesktop.DBus.Error.UnknownMethod", None)
        elif member == "OpenPipeWireRemote":
            with FileDescriptor(self._line_to_pipewire()) as descriptor:
                self._reply(message, "h", (descriptor,))
        else:
            self._request(message, portal, member, fields[HeaderFields.sender])

    def _line_to_pipewire(self) -> int:
        if self.line is not None:
            return os.dup(self.line.fileno())
        if self.pipewire is None:
            # Any descriptor will do, as long as nobody reads from it.
            return os.open(os.devnull, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.pipewire))
            return os.dup(line.fileno())

    def _property(self, body: Any) -> tuple[str, Any]:
        portal = body[0].rpartition(".")[2]
        if portal not in self.properties:
            return "org.freedesktop.DBus.Error.InvalidArgs", None
        return "v", (("u", self.properties[portal][body[1]]),)

    def _request(self, message: Any, portal: str, member: str, sender: str) -> None:
        options = {key: value for key, (_, value) in message.body[-1].items()}
        who = sender[1:].replace(".", "_")
        path = f"{PATH}/request/{who}/{options['handle_token']}"
        self._reply(message, "o", (path,))
        if member == "CreateSession":
            session = f"{PATH}/session/{who}/{options['session_handle_token']}"
            self.sessions.append(session)
            self._respond(path, 0, {"session_handle": ("s", session)})
        elif member == "Start" or member == "BindShortcuts":
            threading.Thread(
                target=self._answer_when_told, args=(path, member, message.body), daemon=True
            ).start()
        else:
            self._respond(path, 0, {})

    def _answer_when_told(self, path: str, member: str, body: Any) -> None:
        self.answers.wait(30)
        if member == "Start":
            results: dict[str, Any] = {"streams": ("a(ua{sv})", self.streams)}
            if self.token:
                results["restore_token"] = ("s", self.token)
            self._respond(path, self.code, results if self.code == 0 else {})
            return
        code = 2 if self.needs_app_id and not self.app_id else self.code
        bound = [
            (
                ident,
                {
                    "description": about["description"],
                    "trigger_description": ("s", self._trigger(ident, about)),
                },
            )
            for ident, about in body[1]
        ]
        told = code == 0 or (self.results_on_failure and code == self.code)
        self._respond(path, code, {"shortcuts": ("a(sa{sv})", bound)} if told else {})

    def _trigger(self, ident: str, about: dict[str, Any]) -> str:
        return self.triggers.get(ident, f"Press {about['preferred_trigger'][1]}")

    def _respond(self, path: str, code: int, results: dict[str, Any]) -> None:
        if self._bus is None:
            return
        interface = "org.freedesktop.portal.Request"
        self._signal(path, interface, "Response", "ua{sv}", (code, results))

    def _reply(self, message: Any, kind: str | None, body: Any) -> None:
        assert self._bus is not None
        if body is None:
            reply = new_error(message, kind, "s", ("no such thing here",))
        else:
            reply = new_method_return(message, kind, body)
        with self._lock:
            self._bus.send(reply)


@contextmanager
def fake_portal() -> Iterator[FakePortal]:
    portal = FakePortal()
    portal.start()
    try:
        yield portal
    finally:
        portal.end()
