"""What a desktop adds to the portal, saying yes: the camera's permission, and global shortcuts.

Run as a program. Lines on standard input: "activate ID", "deactivate ID"; "deny" and "allow" for
what comes after.
"""

from __future__ import annotations

import sys
import threading
import time
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
from jeepney.io.blocking import open_dbus_connection

NAME = "org.freedesktop.impl.portal.desktop.fake"
PATH = "/org/freedesktop/portal/desktop"
SHORTCUTS = "org.freedesktop.impl.portal.GlobalShortcuts"


class BackEnd:
    def __init__(self) -> None:
        self.bus = open_dbus_connection(bus="SESSION")
        self.lock = threading.Lock()
        self.sessions: list[str] = []
        self.bound: dict[str, list[Any]] = {}
        self.denies = False

    def hear_lines(self) -> None:
        for line in sys.stdin:
            word, _, ident = line.strip().partition(" ")
            if word in ("deny", "allow"):
                self.denies = word == "deny"
                continue
            member = "Activated" if word == "activate" else "Deactivated"
            with self.lock:
                for session in self.sessions:
                    body = (session, ident, int(time.monotonic() * 1000), {})
                    signal = new_signal(
                        DBusAddress(PATH, interface=SHORTCUTS), member, "osta{sv}", body
                    )
                    self.bus.send(signal)

    def run(self) -> None:
        self.bus.send_and_get_reply(message_bus.RequestName(NAME))
        threading.Thread(target=self.hear_lines, daemon=True).start()
        while True:
            message = self.bus.receive()
            if message.header.message_type is MessageType.method_call:
                answer = self.answer(message)
                with self.lock:
                    self.bus.send(answer)

    def answer(self, message: Any) -> Any:
        fields = message.header.fields
        interface, member = fields.get(HeaderFields.interface), fields[HeaderFields.member]
        code = 1 if self.denies else 0
        if member == "AccessDialog":
            return new_method_return(message, "ua{sv}", (code, {}))
        if interface == SHORTCUTS and member == "CreateSession":
            self.sessions.append(message.body[1])
            return new_method_return(message, "ua{sv}", (0, {}))
        if interface == SHORTCUTS:
            session = message.body[1]
            if member == "BindShortcuts":
                self.bound[session] = [_bound(*one) for one in message.body[2]]
            shortcuts = ("a(sa{sv})", self.bound.get(session, []))
            return new_method_return(message, "ua{sv}", (code, {"shortcuts": shortcuts}))
        if interface == "org.freedesktop.impl.portal.Session":
            path = fields[HeaderFields.path]
            if path in self.sessions:
                self.sessions.remove(path)
            return new_method_return(message)
        if member == "GetAll":
            return new_method_return(message, "a{sv}", ({"version": ("u", 1)},))
        if member == "Get":
            return new_method_return(message, "v", (("u", 1),))
        return new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")


def _bound(ident: str, about: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    trigger = about.get("preferred_trigger", ("s", "nothing"))[1]
    return ident, {
        "description": about.get("description", ("s", "")),
        "trigger_description": ("s", f"Press {trigger}"),
    }


if __name__ == "__main__":
    BackEnd().run()
