"""Who may talk to a web server of ours: this machine, and from elsewhere who knows the token.

A browser runs the pages of strangers, and to a server they all come from this machine. Three
things tell them apart, and all are looked at before anything else of a request:

* ``Host`` must be a name of this machine's own. A stranger's page that gives its own name our
  address (DNS rebinding) still sends its own name here.
* ``Origin`` and ``Sec-Fetch-Site``, where a browser sends them, must say that the page is ours.
* Where the server listens beyond this machine, everything but the empty panel needs the token.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 64 * 1024
"""Bytes of the largest request."""

REQUESTS_A_SECOND: Final = 200.0
_BURST: Final = 400.0
_CLIENTS_KEPT: Final = 1024

IS_KNOWN: Final = "obs_stylizer.known"
"""In the scope of each request: whether it came with the token."""

_LOCAL_NAMES: Final = frozenset({"localhost"})


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine can reach ``address``."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in _LOCAL_NAMES


class WebGuard:
    """An ASGI application that passes on to another what may come in, and refuses the rest.

    Args:
        app: what to guard.
        address: that the server listens at.
        token: the secret; "" where there is none, so that nobody can know it.
        public_paths: what needs no token anywhere, because there is no secret in it.
        clock: seconds, for the rate.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        token: str = "",
        public_paths: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._is_local = is_loopback(address)
        self._token = token.encode()
        self._public_paths = frozenset(public_paths)
        self._rates = _Rates(clock)
        own = socket.gethostname().lower()
        self._own_names = _LOCAL_NAMES | {own, f"{own}.local", own.removesuffix(".local")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known = self._knows_token(scope, headers)
        refusal = self._refusal(scope, headers, known)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        scope[IS_KNOWN] = known

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_safety(known)]}
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)

    def _refusal(self, scope: Scope, headers: Headers, known: bool) -> tuple[int, str, str] | None:
        """Return status, message and remedy, or None for what may come in."""
        if not self._names_us(headers):
            shown = headers.get("host", "")[:80]
            return 403, f"“{shown}” is no name of this server's", "use http://127.0.0.1"
        client = scope.get("client")
        if not self._rates.admit(client[0] if client else ""):
            return 429, "too many requests", f"send at most {REQUESTS_A_SECOND:.0f} a second"
        if not known and not _is_from_our_page(scope, headers):
            return 403, "a page of another site asked for this", "add the token to the address"
        if not self._is_local and not known and scope["path"] not in self._public_paths:
            return 401, "the token is missing or wrong", "it is in the file “token” of the settings"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, "the request is too large", f"it may have {MAX_BODY} bytes"
        return None

    def _names_us(self, headers: Headers) -> bool:
        given = headers.getlist("host")
        if len(given) != 1:
            return False
        try:
            parts = urlsplit(f"//{given[0]}")
            name = (parts.hostname or "").lower()
            _ = parts.port  # fails on what is no number
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in (_LOCAL_NAMES if self._is_local else self._own_names)
        # Nobody can give a name of theirs to a number.
        return address.is_loopback or not self._is_local

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            given = query.get("token", [""])[0]
        # Compared first, so that the time taken tells nothing.
        same = hmac.compare_digest(given.strip().encode(), self._token)
        return same and bool(self._token)


def _is_from_our_page(scope: Scope, headers: Headers) -> bool:
    """Whether a browser, if it is one, has sent this for a page of ours or for its user."""
    origin = headers.get("origin")
    if origin is not None:
        return origin.lower().partition("://")[2] == headers.get("host", "").lower()
    site = headers.get("sec-fetch-site", "none")
    if site in ("none", "same-origin"):
        return True
    # A link on another site may open the panel, but nothing that does anything by being opened.
    opens_page = (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )
    return opens_page and scope["path"] == "/" and scope.get("method") == "GET"


def _safety(known: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]
    if not known:
        headers.append((b"cross-origin-resource-policy", b"same-origin"))
    return headers


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, message: str, remedy: str
) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": message})
        return
    body = json.dumps({"error": {"message": message, "remedy": remedy}}, ensure_ascii=False)
    data = body.encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(data)).encode()),
        # What it sends after the head is not read.
        (b"connection", b"close"),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


class _Rates:
    """How many requests each client may still send; the last thousand clients are known."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admit(self, client: str) -> bool:
        """Count a request, and say whether it may come in."""
        now = self._clock()
        left, seen_at = self._left.pop(client, (_BURST, now))
        left = min(_BURST, left + (now - seen_at) * REQUESTS_A_SECOND)
        admitted = left >= 1
        self._left[client] = (left - 1 if admitted else left, now)
        while len(self._left) > _CLIENTS_KEPT:
            self._left.popitem(last=False)
        return admitted
