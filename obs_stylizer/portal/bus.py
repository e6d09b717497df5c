"""A connection to the session bus and the portal on it, for one thread."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from obs_stylizer.errors import PortalCancelledError, PortalError

log = logging.getLogger(__name__)

PORTAL_REMEDY: Final = (
    "install xdg-desktop-portal and the back end of your desktop (xdg-desktop-portal-gnome, -kde, "
    "-wlr or -hyprland), then log in again"
)

_NAME: Final = "org.freedesktop.portal.Desktop"
_PATH: Final = "/org/freedesktop/portal/desktop"
_BACK_ENDS: Final = "org.freedesktop.impl.portal"
_CALL_SECONDS: Final = 10.0
_TURN_SECONDS: Final = 0.2
_CANCELLED: Final = 1
_SIGNALS_KEPT: Final = 64

# What a bus answers where nobody has the name, or whoever has it lacks the interface.
_ABSENT: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.UnknownMethod",
    "org.freedesktop.DBus.Error.UnknownInterface",
    "org.freedesktop.DBus.Error.UnknownProperty",
    "org.freedesktop.DBus.Error.UnknownObject",
    "org.freedesktop.DBus.Error.InvalidArgs",
    "org.freedesktop.DBus.Error.NotSupported",
)

_numbers = itertools.count(1)

Variant = tuple[str, Any]
"""A value of any type with its D-Bus signature before it."""


class RefusedError(PortalError):
    """An error that came back over the bus; ``name`` is D-Bus's own for it."""

    def __init__(self, message: str, remedy: str = "", *, name: str = "") -> None:
        super().__init__(message, remedy)
        self.name = name


class PortalBus:
    """Calls the portal, and hears its signals while it waits or is asked to.

    Raises:
        PortalError: there is no session bus.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise PortalError("portals are a part of Linux desktops")
        from jeepney.io.blocking import open_dbus_connection

        try:
            self._bus = open_dbus_connection(bus=_bus_address(), enable_fds=True)
        except PortalError:
            raise
        except Exception as error:
            # Whatever stands in the address, and whoever answers at it: there is no bus.
            raise PortalError(
                f"there is no session bus: {str(error) or type(error).__name__}",
                "start obs-stylizer inside the desktop session",
            ) from error
        self._sender = self._bus.unique_name[1:].replace(".", "_")
        self._signals: deque[Any] = deque(maxlen=_SIGNALS_KEPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Of its socket; readable when something has come."""
        return int(self._bus.sock.fileno())

    def close(self) -> None:
        """End it, and with it every session that was opened over it."""
        self._bus.close()

    def call(
        self,
        interface: str,
        member: str,
        signature: str = "",
        *body: object,
        path: str = _PATH,
        name: str = _NAME,
    ) -> tuple[Any, ...]:
        """Call a method and return its answer.

        Raises:
            RefusedError: an error was the answer.
            PortalError: there was none in ten seconds, or the bus has gone.
        """
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        message = new_method_call(
            DBusAddress(path, name, interface), member, signature or None, body
        )
        reply = self._answer_to(message, interface)
        if reply.header.message_type is not MessageType.error:
            return tuple(reply.body)
        kind = str(reply.header.fields.get(HeaderFields.error_name, ""))
        told = str(reply.body[0]) if reply.body else kind
        short = interface.rpartition(".")[2]
        if kind in _ABSENT:
            raise RefusedError(f"no desktop portal answers ({short})", PORTAL_REMEDY, name=kind)
        raise RefusedError(f"the desktop portal refuses {short}.{member}: {told}", name=kind)

    def portal_property(self, portal: str, name: str) -> Any:
        """Return a property of a portal such as "ScreenCast".

        Raises:
            PortalError: there is no such portal.
        """
        interface = f"org.freedesktop.portal.{portal}"
        try:
            ((_, value),) = self.call(
                "org.freedesktop.DBus.Properties", "Get", "ss", interface, name
            )
        except RefusedError as error:
            raise RefusedError(
                f"no desktop portal answers ({portal})", PORTAL_REMEDY, name=error.name
            ) from error
        return value

    def request(
        self,
        portal: str,
        member: str,
        signature: str,
        *body: object,
        options: Mapping[str, Variant] | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> tuple[int, dict[str, Any]]:
        """Call what the user answers, maybe much later; return the code and the results.

        Args:
            portal: such as "ScreenCast".
            member: the method.
            signature: of ``body``; the options come after it.
            body: the arguments.
            options: the portal's own.
            given_up: asked some times a second; True ends the waiting and takes the dialog away.

        Raises:
            PortalCancelledError: the user said no, or it was given up.
            PortalError: the portal is not there, or went away meanwhile.
        """
        token = _token()
        path = f"{_PATH}/request/{self._sender}/{token}"
        response = _signal("org.freedesktop.portal.Request", "Response", path)
        with self._subscribe(response) as queue, self._subscribe(_owners(_BACK_ENDS)) as owners:
            asked = {**(options or {}), "handle_token": ("s", token)}
            interface = f"org.freedesktop.portal.{portal}"
            self.call(interface, member, f"{signature}a{{sv}}", *body, asked)
            asked_of = self.owner()
            while not queue:
                if given_up():
                    self._take_back(path)
                    raise PortalCancelledError(f"{portal} was not waited for any longer")
                if not self._receive(_TURN_SECONDS) and self.owner() != asked_of:
                    raise PortalError("the desktop portal went away", PORTAL_REMEDY)
                # The portal waits for ever for the answer of one of its parts that has ended.
                while owners:
                    name, before, _ = owners.popleft().body
                    if before:
                        raise PortalError(f"a part of the desktop portal went away: {name}")
            code, results = queue.popleft().body
        log.debug("%s.%s: %d", portal, member, code)
        if code == _CANCELLED:
            raise PortalCancelledError(f"{portal}.{member}: the user said no")
        return int(code), {key: value for key, (_, value) in results.items()}

    def create_session(self, portal: str) -> str:
        """Open a session of a portal and return its path.

        Raises:
            PortalError: it gives none.
        """
        options = {"session_handle_token": ("s", _token())}
        code, results = self.request(portal, "CreateSession", "", options=options)
        if code or "session_handle" not in results:
            raise PortalError(f"the desktop portal opens no session ({portal}, code {code})")
        return str(results["session_handle"])

    def close_session(self, session: str) -> None:
        """End a session; one that is gone already is none to end."""
        try:
            self.call("org.freedesktop.portal.Session", "Close", path=session)
        except PortalError as error:
            log.debug("%s", error)

    def listen(self, interface: str, member: str, path: str | None = None) -> None:
        """Keep signals of this kind for :meth:`next_signal`, as long as the connection lives."""
        self._add(_signal(interface, member, path), self._signals)

    def listen_for_restarts(self) -> None:
        """Keep the signal that tells that the portal ended or began, too."""
        self._add(_owners(_NAME), self._signals)

    def next_signal(self, seconds: float = 0.0) -> tuple[str, tuple[Any, ...]] | None:
        """Return member and body of the next signal that is listened for; None without one.

        Raises:
            PortalError: the bus has gone.
        """
        from jeepney import HeaderFields

        if not self._signals:
            self._receive(seconds)
        while self._receive(0.0):
            pass
        if not self._signals:
            return None
        message = self._signals.popleft()
        return str(message.header.fields[HeaderFields.member]), tuple(message.body)

    def owner(self) -> str:
        """Name on the bus of the portal that runs; "" where none does.

        One that does not run may still be started by the first call to it.
        """
        try:
            (owner,) = self._call_bus("GetNameOwner", _NAME)
        except RefusedError:
            return ""
        return str(owner)

    def _call_bus(self, member: str, argument: str) -> tuple[Any, ...]:
        name, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
        return self.call(name, member, "s", argument, path=path, name=name)

    def _answer_to(self, message: Any, whom: str) -> Any:
        with _gone_bus():
            try:
                return self._bus.send_and_get_reply(message, timeout=_CALL_SECONDS)
            except TimeoutError as error:
                raise PortalError(
                    f"the desktop portal does not answer ({whom.rpartition('.')[2]})",
                    "start it again: systemctl --user restart xdg-desktop-portal",
                ) from error

    def _receive(self, seconds: float) -> bool:
        """Take one message off the bus and sort it; False if none came."""
        with _gone_bus():
            try:
                self._bus.recv_messages(timeout=seconds)
            except TimeoutError:
                return False
        return True

    @contextmanager
    def _subscribe(self, rule: Any) -> Iterator[deque[Any]]:
        from jeepney import message_bus

        queue: deque[Any] = deque(maxlen=_SIGNALS_KEPT)
        handle = self._add(rule, queue)
        try:
            yield queue
        finally:
            handle.close()
            try:
                self._answer_to(message_bus.RemoveMatch(rule), "the session bus")
            except PortalError as error:
                log.debug("%s", error)

    def _add(self, rule: Any, queue: deque[Any]) -> Any:
        from jeepney import message_bus

        handle = self._bus.filter(rule, queue=queue)
        self._answer_to(message_bus.AddMatch(rule), "the session bus")
        return handle

    def _take_back(self, request: str) -> None:
        try:
            self.call("org.freedesktop.portal.Request", "Close", path=request)
        except PortalError as error:
            log.debug("%s", error)


def _bus_address() -> str:
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if address:
        return address
    # Where nobody told it, as under ssh, systemd still has put it here.
    socket = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / "bus"
    if not socket.exists():
        raise PortalError(
            "there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)",
            "start obs-stylizer inside the desktop session",
        )
    return f"unix:path={socket}"


def _signal(interface: str, member: str, path: str | None) -> Any:
    from jeepney import MatchRule

    return MatchRule(type="signal", interface=interface, member=member, path=path)


def _owners(name: str) -> Any:
    """The signal that a name, or one below it, was taken or given up."""
    from jeepney import MatchRule

    bus, path = "org.freedesktop.DBus", "/org/freedesktop/DBus"
    rule = MatchRule(type="signal", sender=bus, interface=bus, member="NameOwnerChanged", path=path)
    rule.add_arg_condition(0, name, kind="namespace")
    return rule


def _token() -> str:
    return f"obs_stylizer_{os.getpid()}_{next(_numbers)}"


@contextmanager
def _gone_bus() -> Iterator[None]:
    """Tell of a bus that went away as of every other trouble."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise PortalError(
            f"the session bus has gone: {error}", "log in to the desktop again"
        ) from error
