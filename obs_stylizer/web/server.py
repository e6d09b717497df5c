"""A web server in a thread of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import psutil
import uvicorn
from starlette.types import ASGIApp

from obs_stylizer.errors import BusyError, SinkError
from obs_stylizer.locks import ResourceLock
from obs_stylizer.web.listener import SparingListener

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"

MAX_CONNECTIONS: Final = 256
REQUEST_SECONDS: Final = 10.0
"""How long a request may take to arrive."""

_MAX_SOCKET_MESSAGE: Final = 64 * 1024

_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 0.3


class WebServer:
    """Serves an ASGI application at http://ADDRESS:PORT.

    Args:
        app: what to serve; it decides who may come in.
        port: 1 to 65535, or 0 for any free one.
        address: to listen at; the default is reached from this machine alone.
        prepare_thread: called first in the server's thread, as to change its priority.
    """

    def __init__(
        self,
        app: ASGIApp,
        port: int,
        address: str = HOST,
        prepare_thread: Callable[[], object] | None = None,
    ) -> None:
        self._app = app
        self._prepare_thread = prepare_thread
        self._address = HOST if address == "localhost" else address
        self._wished = port
        self._port = port
        self._lock: ResourceLock | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of its first page as this machine writes it, without a slash at the end."""
        # What listens everywhere listens here too.
        host = {"0.0.0.0": HOST, "::": "::1"}.get(self._address, self._address)  # noqa: S104
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def start(self) -> None:
        """Listen; returns once requests are answered.

        Raises:
            BusyError: another program has the port; it is named where it can be seen.
            SinkError: the port may not be used.
        """
        self.stop()
        remedy = "stop that program, or choose another port, as in --sink http:8766"
        lock = ResourceLock.take(f"port {self._wished}", remedy=remedy) if self._wished else None
        try:
            listener = _listen(self._address, self._wished, remedy)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        self._lock = lock
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http="h11",
            ws="websockets-sansio",
            ws_max_size=_MAX_SOCKET_MESSAGE,
            limit_concurrency=MAX_CONNECTIONS,
            # The daemon's own logging stays as it is.
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        server = self._server = _Server(config)
        self._thread = threading.Thread(
            target=_serve, args=(server, listener, self._prepare_thread), name="web", daemon=True
        )
        self._thread.start()
        if not server.is_ready.wait(_START_SECONDS) or not server.started:
            self.stop()
            raise SinkError(f"the web server at {self.url} did not start", "see the log")

    def stop(self) -> None:
        """Close every connection and the port; a second call does nothing."""
        server, self._server = self._server, None
        thread, self._thread = self._thread, None
        lock, self._lock = self._lock, None
        if server is not None:
            server.should_exit = True
        if thread is not None:
            thread.join(_STOP_SECONDS)
            if thread.is_alive():
                log.warning("the web server at %s does not stop; leaving it", self.url)
        if lock is not None:
            lock.release()


class _Server(uvicorn.Server):
    """Says when it is ready, and does not wait for viewers that never end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = threading.Event()
        self._idle_since: dict[object, float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._abort_silent_connections(time.monotonic())
        return await super().on_tick(counter)

    def _abort_silent_connections(self, now: float) -> None:
        """Close those that hold a place without ever asking for anything."""
        idle = {
            connection
            for connection in self.server_state.connections
            if hasattr(connection, "cycle")
            and (connection.cycle is None or connection.cycle.response_complete)
        }
        self._idle_since = {one: self._idle_since.get(one, now) for one in idle}
        for connection, since in self._idle_since.items():
            if now - since > REQUEST_SECONDS:
                connection.transport.abort()  # type: ignore[attr-defined]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A viewer that has stopped reading keeps its connection open for as long as it likes.
        abort = asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._abort_connections)
        try:
            await super().shutdown(sockets)
        finally:
            abort.cancel()

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


def _serve(
    server: _Server, listener: socket.socket, prepare_thread: Callable[[], object] | None
) -> None:
    try:
        if prepare_thread is not None:
            prepare_thread()
        server.run(sockets=[listener])
    except (Exception, SystemExit):
        # uvicorn leaves by SystemExit where its application does not start.
        log.exception("the web server has stopped")
    finally:
        listener.close()
        server.is_ready.set()


def _listen(address: str, port: int, remedy: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio sends at once only on sockets that say which protocol they speak; without it, each
    # answer would wait 40 ms for the other side's acknowledgement.
    listener = SparingListener(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            # There, the usual option would let two programs have the same port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", -1)):
            raise BusyError(f"port {port} is held by {_listener_of(port)}", remedy) from error
        if error.errno in (errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", -1)):
            raise SinkError(
                f"{address} is no address of this machine's", "change “address” under “web”"
            ) from error
        raise SinkError(f"port {port} cannot be used: {error.strerror}", remedy) from error
    return listener


def _listener_of(port: int) -> str:
    """Name the program that listens on ``port``, as far as this user may know."""
    try:
        for entry in psutil.net_connections(kind="tcp"):
            if entry.status != psutil.CONN_LISTEN or not entry.laddr or not entry.pid:
                continue
            if entry.laddr.port == port:
                return f"{psutil.Process(entry.pid).name()}, process {entry.pid}"
    except psutil.Error:
        log.debug("cannot see who listens on port %d", port, exc_info=True)
    return "another program"
