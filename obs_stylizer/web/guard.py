"""Who may talk to a web server of ours: programs of this machine, and who knows the token.

A browser runs the pages of strangers, and to a server they all come from this machine; and a
machine has other accounts than its user's. So all of this is looked at first:

* ``Host`` must be a name of this machine's own. A stranger's page that gives its own name our
  address (DNS rebinding) still sends its own name here.
* ``Origin`` and ``Sec-Fetch-Site``, where a browser sends them, must say that the page is ours.
* The token lets in: as ``Authorization: Bearer``, in the address, or as a cookie that a browser
  gets when it opens the panel's address with the token, or a code for once, in it. Without it there
  is what ``is_free`` says where the server listens on this machine alone; elsewhere, the empty
  panel.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY: Final = 64 * 1024
LEARN_PICTURE: Final = "/api/learn-picture"
MAX_PICTURE: Final = 20_000_000
"""The one request that may be long, with the token: a picture whose style is to be learnt."""
"""Bytes of the largest request."""

REQUESTS_A_SECOND: Final = 200.0
_BURST: Final = 400.0
_CLIENTS_KEPT: Final = 1024

KNOWN_BY: Final = "obs_stylizer.known_by"
"""In the scope of each request: how it showed that it knows the token, a :class:`Known`."""

NEW_CODE: Final = "obs_stylizer.new_code"
"""In the scope of each request: :meth:`WebGuard.new_code`."""

_COOKIE_SECONDS: Final = 400 * 24 * 3600
_CODE_SECONDS: Final = 60.0
_CODES_KEPT: Final = 16
_SECRETS: Final = ("token", "code")
"""What may stand in the panel's address and does not stay there."""

_LOCAL_NAMES: Final = frozenset({"localhost"})


class Known(StrEnum):
    """How a request shows that it knows the token."""

    NOT = ""
    COOKIE = "cookie"
    """That of a browser which opened the panel once with the token; for our own pages alone."""
    TOKEN = "token"  # noqa: S105
    """The token itself, in the address or as ``Authorization``."""


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
        is_free: whether a method and path need no token from programs of this machine.
        clock: seconds, for the rate.
    """

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        token: str = "",
        public_paths: Collection[str] = (),
        is_free: Callable[[str, str], bool] = lambda _method, _path: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._is_local = is_loopback(address)
        self._token = token.encode()
        self._cookie = cookie_for(token)
        self._is_free = is_free
        self._public_paths = frozenset(public_paths)
        self._rates = _Rates(clock)
        self._clock = clock
        self._codes: dict[str, float] = {}
        own = socket.gethostname().lower()
        self._own_names = _LOCAL_NAMES | {own, f"{own}.local", own.removesuffix(".local")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known = self._known_by(scope, headers)
        refusal = self._refusal(scope, headers, known)
        client = (scope.get("client") or ("",))[0]
        # Each kind for itself, so that strangers do not use up what the panel may ask.
        if not self._rates.admit((client, "refused" if refusal else str(known))):
            refusal = 429, "too many requests", f"send at most {REQUESTS_A_SECOND:.0f} a second"
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if _opens_panel(scope) and (known is Known.TOKEN or self._redeems_code(scope)):
            await self._remember(scope, send)
            return
        scope[KNOWN_BY] = known
        scope[NEW_CODE] = self.new_code

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_safety(known)]}
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)

    def new_code(self) -> str:
        """Return what opens the panel once, within a minute, in place of the token.

        Other accounts see the command lines of our programs, and so the address that a browser is
        started with.
        """
        now = self._clock()
        self._codes = {code: until for code, until in self._codes.items() if until > now}
        while len(self._codes) >= _CODES_KEPT:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(16)
        self._codes[code] = now + _CODE_SECONDS
        return code

    def _redeems_code(self, scope: Scope) -> bool:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        until = self._codes.pop(query.get("code", [""])[0], float("-inf"))
        return bool(self._token) and self._clock() < until

    async def _remember(self, scope: Scope, send: Send) -> None:
        """Give the browser a cookie in place of the token, which leaves the address."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        rest = urlencode(
            {name: values for name, values in query.items() if name not in _SECRETS}, True
        )
        cookie = f"{self._cookie_name(scope)}={self._cookie}; Path=/; HttpOnly; SameSite=Strict"
        headers = [
            (b"location", f"/?{rest}".rstrip("?").encode("latin-1", "replace")),
            (b"set-cookie", f"{cookie}; Max-Age={_COOKIE_SECONDS}".encode()),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
            *_safety(Known.COOKIE),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _refusal(self, scope: Scope, headers: Headers, known: Known) -> tuple[int, str, str] | None:
        """Return status, message and remedy, or None for what may come in."""
        if not self._names_us(headers):
            shown = headers.get("host", "")[:80]
            return 403, f"“{shown}” is no name of this server's", "use http://127.0.0.1"
        if known is not Known.TOKEN and not _is_from_our_page(scope, headers):
            return 403, "a page of another site asked for this", "add the token to the address"
        if not known and not self._is_open(scope):
            return NO_TOKEN
        length = headers.get("content-length", "0")
        most = MAX_PICTURE if scope["path"] == LEARN_PICTURE and known else MAX_BODY
        if not length.isdigit() or int(length) > most:
            return 413, "the request is too large", f"it may have {most} bytes"
        return None

    def _is_open(self, scope: Scope) -> bool:
        """Whether somebody may come in who is not known."""
        path = scope["path"]
        if path in self._public_paths:
            return True
        method = scope.get("method", "GET")
        return self._is_local and self._is_free("GET" if method == "HEAD" else method, path)

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

    def _known_by(self, scope: Scope, headers: Headers) -> Known:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not given:
            query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            given = query.get("token", [""])[0]
        # Compared first, so that the time taken tells nothing.
        if hmac.compare_digest(given.strip().encode(), self._token) and self._token:
            return Known.TOKEN
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return Known.NOT
        found = cookies.get(self._cookie_name(scope))
        same = hmac.compare_digest((found.value if found else "").encode(), self._cookie.encode())
        return Known.COOKIE if same and self._token else Known.NOT

    def _cookie_name(self, scope: Scope) -> str:
        """Cookies know no ports: another daemon's is another one."""
        return f"obs_stylizer_{(scope.get('server') or ('', 0))[1]}"


NO_TOKEN: Final = (
    401,
    "the token is missing or wrong",
    "open the panel with “obs-stylizer panel”; programs find the token in the file “token” "
    "beside the settings",
)


def _opens_panel(scope: Scope) -> bool:
    """Whether a browser opens the panel's address with a secret in it."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
        return False
    return any(f"{name}=".encode() in scope.get("query_string", b"") for name in _SECRETS)


def cookie_for(token: str) -> str:
    """Return what a browser keeps in place of the token: who sees it does not know the token."""
    return hmac.new(token.encode(), b"obs-stylizer panel", hashlib.sha256).hexdigest()


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


def _safety(known: Known) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]
    if known is not Known.TOKEN:
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
    """How many requests each client may still send; the last thousand are known."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def admit(self, client: tuple[str, str]) -> bool:
        """Count a request, and say whether it may come in."""
        now = self._clock()
        left, seen_at = self._left.pop(client, (_BURST, now))
        left = min(_BURST, left + (now - seen_at) * REQUESTS_A_SECOND)
        admitted = left >= 1
        self._left[client] = (left - 1 if admitted else left, now)
        while len(self._left) > _CLIENTS_KEPT:
            self._left.popitem(last=False)
        return admitted
