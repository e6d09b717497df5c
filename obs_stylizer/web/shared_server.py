"""One web server for all who have something to show: the stream, and whoever comes after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from obs_stylizer.web.free_paths import is_free
from obs_stylizer.web.guard import WebGuard
from obs_stylizer.web.server import HOST, WebServer
from obs_stylizer.web.stream_hub import StreamHub
from obs_stylizer.web.stream_routes import page_route, stream_routes


class SharedServer:
    """Runs from the first :meth:`acquire` to the last :meth:`release`. Any thread may call.

    It shows the stream alone until :meth:`show` gives it an application of more pages.

    Args:
        port: 1 to 65535, or 0 for any free one.
        address: to listen at.
        token: see :class:`~obs_stylizer.web.guard.WebGuard`.
        public_paths: what needs no token anywhere.
        prepare_thread: called first in the server's thread, as to change its priority.
    """

    def __init__(
        self,
        port: int,
        address: str = HOST,
        token: str = "",
        public_paths: Collection[str] = (),
        prepare_thread: Callable[[], object] | None = None,
    ) -> None:
        self.hub = StreamHub()
        self.port = port
        self.address = address
        self._stream: ASGIApp = Starlette(routes=[*stream_routes(self.hub), page_route()])
        self._shown: ASGIApp = self._stream
        self._token = token
        guard = WebGuard(self._serve, address, token, ("/", *public_paths), is_free)
        self._server = WebServer(guard, port, address, prepare_thread)
        self._users = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address of its first page, without a slash at the end."""
        return self._server.url

    def with_token(self, path: str) -> str:
        """The whole address of a page, with the token in it: whoever has it gets in."""
        return f"{self.url}{path}?{urlencode({'token': self._token})}"

    def acquire(self) -> str:
        """Let it run at least until :meth:`release`; return its address.

        Raises:
            BusyError: another program has the port.
            SinkError: address or port cannot be used.
        """
        with self._lock:
            if self._users == 0:
                self._server.start()
            self._users += 1
            return self._server.url

    def release(self) -> None:
        """Need it no longer; it stops when nobody does."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._server.stop()

    def show(self, app: ASGIApp | None) -> None:
        """Show ``app`` from now on, which has to hold the stream's routes too; None: as before."""
        self._shown = app or self._stream

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The application may be another one when the server ends than when it began.
        app = self._stream if scope["type"] == "lifespan" else self._shown
        await app(scope, receive, send)
