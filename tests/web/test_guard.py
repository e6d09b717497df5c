"""Who may come in: no page of a stranger's, by whatever name it calls us."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from obs_stylizer.web import server as web_server
from obs_stylizer.web.guard import KNOWN_BY, MAX_BODY, WebGuard, is_loopback
from obs_stylizer.web.server import WebServer

TOKEN = "a-very-long-secret"


async def answer(request: Request) -> JSONResponse:
    return JSONResponse({"known": str(request.scope[KNOWN_BY])})


async def events(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


APP = Starlette(
    routes=[
        Route("/", answer),
        Route("/api/next", answer, methods=["GET", "POST"]),
        Route("/secret", answer, methods=["GET", "POST"]),
        WebSocketRoute("/api/events", events),
    ]
)


def free(method: str, path: str) -> bool:
    return path in ("/api/next", "/api/events")


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@contextmanager
def served(guard: WebGuard) -> Iterator[httpx.Client]:
    """A client of a real server at a free port."""
    server = WebServer(guard, 0)
    server.start()
    try:
        with httpx.Client(base_url=server.url) as client:
            yield client
    finally:
        server.stop()


@pytest.fixture
def here(seconds: Seconds) -> Iterator[httpx.Client]:
    """The server as most have it: on this machine alone."""
    with served(WebGuard(APP, "127.0.0.1", TOKEN, ["/"], free, seconds)) as client:
        yield client


@pytest.fixture
def anywhere(seconds: Seconds) -> Iterator[httpx.Client]:
    """The server of somebody who lets other machines in."""
    with served(WebGuard(APP, "0.0.0.0", TOKEN, ["/"], free, seconds)) as client:
        yield client


def home(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def open_socket(client: httpx.Client, headers: dict[str, str]) -> str:
    """Return the first message, or how it was refused."""
    address = home(client).replace("http", "ws") + "/api/events"
    origin = headers.pop("Origin", None)
    try:
        with connect(address, origin=origin, additional_headers=headers) as connection:  # type: ignore[arg-type]
            return str(connection.recv(5))
    except InvalidStatus as refusal:
        return f"refused with {refusal.response.status_code}"


def refused(client: httpx.Client, status: int, path: str = "/api/next", **headers: str) -> str:
    """Return why it was refused."""
    response = client.post(path, headers={key.replace("_", "-"): v for key, v in headers.items()})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["remedy"]
    return str(error["message"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8765", "127.0.0.1", "localhost:8765", "LOCALHOST", "[::1]:8765", "127.0.0.2:1"],
)
def test_our_own_names(here: httpx.Client, host: str) -> None:
    assert here.post("/api/next", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.5:8765",
        "[::1",
        "",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "127.0.0.1:8765, evil.example",
    ],
)
def test_dns_rebinding_is_refused(here: httpx.Client, host: str) -> None:
    assert "no name of this server" in refused(here, 403, Host=host)
    # Not even the token helps: it would have been sent to the stranger's own server before.
    assert "no name" in refused(here, 403, Host=host, Authorization=f"Bearer {TOKEN}")


def spoken(client: httpx.Client, *lines: str) -> str:
    """Say something that a well-behaved client would not; return the first line of the answer."""
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return connection.recv(1000).decode().split("\r\n")[0]


def test_two_hosts_are_refused(here: httpx.Client) -> None:
    hosts = "Host: 127.0.0.1", "Host: evil.example"
    assert " 400 " in spoken(here, "GET / HTTP/1.1", *hosts)
    assert " 403 " in spoken(here, "GET / HTTP/1.0")


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:3000",
        "http://localhost:8765",
        "https://127.0.0.1:8765.evil.example",
        "file://",
        "",
    ],
)
def test_another_origin_is_refused(here: httpx.Client, origin: str) -> None:
    assert "another site" in refused(here, 403, Origin=origin)


def test_our_own_page_comes_in(here: httpx.Client) -> None:
    headers = {"Origin": home(here), "Sec-Fetch-Site": "same-origin"}
    assert here.post("/api/next", headers=headers).status_code == 200
    assert here.get("/api/next", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_picture_or_a_form_of_another_site_is_refused(here: httpx.Client, site: str) -> None:
    as_picture = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert here.get("/api/next", headers=as_picture).status_code == 403
    as_page = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert here.get("/api/next", headers=as_page).status_code == 403
    assert here.post("/", headers=as_page).status_code == 403
    in_frame = {**as_page, "Sec-Fetch-Dest": "iframe"}
    assert here.get("/", headers=in_frame).status_code == 403
    # A link to the panel is only a link.
    assert here.get("/", headers=as_page).status_code == 200


def test_who_has_the_token_may_come_from_another_page(here: httpx.Client) -> None:
    headers = {"Origin": "http://deck.example", "Authorization": f"Bearer {TOKEN}"}
    assert here.post("/api/next", headers=headers).json() == {"known": "token"}
    response = here.post(f"/api/next?token={TOKEN}", headers={"Origin": "null"})
    assert response.json() == {"known": "token"}


def test_a_socket_is_guarded_in_the_same_way(here: httpx.Client) -> None:
    assert open_socket(here, {"Origin": home(here)}) == "hello"
    assert open_socket(here, {}) == "hello"
    assert open_socket(here, {"Origin": "http://evil.example"}) == "refused with 403"
    assert open_socket(here, {"Origin": "http://127.0.0.1:3000"}) == "refused with 403"


def test_on_this_machine_what_is_not_free_needs_the_token(here: httpx.Client) -> None:
    assert here.post("/api/next").json() == {"known": ""}
    for path in ("/secret", "/secret?token=wrong", "/secret?token=", "/nothing"):
        assert "token is missing" in refused(here, 401, path=path)
    assert "token" in refused(here, 401, path="/secret", Cookie="obs_stylizer_0=x")
    assert here.get("/secret").status_code == here.head("/secret").status_code == 401
    assert here.get(f"/secret?token={TOKEN}").json() == {"known": "token"}


def opened(client: httpx.Client, address: str) -> httpx.Response:
    """Open it as a browser does for its user; cookies stay with the client."""
    response = client.get(address, headers={"Sec-Fetch-Site": "none"})
    assert TOKEN not in response.text + response.headers.get("set-cookie", "")
    return response


@pytest.mark.parametrize("name", ["here", "anywhere"])
def test_a_browser_gets_a_cookie_in_place_of_the_token(
    name: str, request: pytest.FixtureRequest
) -> None:
    client: httpx.Client = request.getfixturevalue(name)
    response = opened(client, f"/?token={TOKEN}&view=raw")
    assert (response.status_code, response.headers["location"]) == (303, "/?view=raw")
    assert response.headers["cache-control"] == "no-store"
    for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in response.headers["set-cookie"]
    assert client.get("/secret").json() == {"known": "cookie"}
    assert open_socket(client, {"Cookie": cookies(client), "Origin": home(client)}) == "hello"
    client.cookies.clear()
    assert client.get("/secret").status_code == 401
    assert opened(client, "/?token=wrong").status_code == 200


def cookies(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_cookie_is_for_our_own_pages(here: httpx.Client, headers: dict[str, str]) -> None:
    opened(here, f"/?token={TOKEN}")
    assert here.get("/secret", headers=headers).status_code == 403


def test_another_server_of_this_machine_has_another_cookie(here: httpx.Client) -> None:
    opened(here, f"/?token={TOKEN}")
    (name,) = here.cookies.keys()
    assert name == f"obs_stylizer_{here.base_url.port}"


def test_a_code_opens_the_panel_once(seconds: Seconds) -> None:
    guard = WebGuard(APP, "127.0.0.1", TOKEN, ["/"], free, seconds)
    with served(guard) as client:
        code = guard.new_code()
        assert client.get(f"/secret?code={code}").status_code == 401
        assert opened(client, f"/?code={code}").status_code == 303
        assert client.get("/secret").json() == {"known": "cookie"}
        client.cookies.clear()
        assert opened(client, f"/?code={code}").status_code == 200
        late = guard.new_code()
        seconds.now += 61
        assert opened(client, f"/?code={late}").status_code == 200
        assert opened(client, "/?code=").status_code == 200
        first = guard.new_code()
        for _ in range(16):
            newest = guard.new_code()
        assert opened(client, f"/?code={first}").status_code == 200
        assert opened(client, f"/?code={newest}").status_code == 303


def test_beyond_this_machine_the_token_is_needed(anywhere: httpx.Client) -> None:
    assert "token is missing or wrong" in refused(anywhere, 401)
    assert "token" in refused(anywhere, 401, Authorization="Bearer wrong")
    assert "token" in refused(anywhere, 401, Authorization=f"Basic {TOKEN}")
    assert "token" in refused(anywhere, 401, path="/api/next?token=%C3%BC")
    # From this machine too: a proxy on it would make everybody look like us.
    assert "token" in refused(anywhere, 401, Host="127.0.0.1")
    assert anywhere.get("/").json() == {"known": ""}
    allowed = anywhere.post("/api/next", headers={"Authorization": f"Bearer {TOKEN}"})
    assert allowed.json() == {"known": "token"}
    assert open_socket(anywhere, {"Origin": home(anywhere)}) == "refused with 403"
    assert open_socket(anywhere, {"Authorization": f"Bearer {TOKEN}"}) == "hello"


def test_beyond_this_machine_numbers_and_its_name_are_hosts(anywhere: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for host in ("10.0.0.1", "[fe80::1]:8765", socket.gethostname()):
        answered = anywhere.post("/api/next", headers={**headers, "Host": host})
        assert answered.status_code == 200, host
    assert anywhere.post("/api/next", headers={**headers, "Host": "a.example"}).status_code == 403


def test_without_a_token_nobody_knows_it() -> None:
    with served(WebGuard(APP, "0.0.0.0")) as client:
        for path in ("/api/next", "/api/next?token="):
            assert client.post(path).status_code == 401
        assert client.post("/api/next", headers={"Authorization": "Bearer x"}).status_code == 401


def test_large_requests_are_refused_unread(here: httpx.Client) -> None:
    head = "POST /api/next HTTP/1.1", "Host: 127.0.0.1"
    assert " 413 " in spoken(here, *head, f"Content-Length: {MAX_BODY + 1}")
    assert here.post("/api/next", content=b"x" * MAX_BODY).status_code == 200


def test_rate_is_bounded_and_recovers(here: httpx.Client, seconds: Seconds) -> None:
    codes = [here.post("/api/next").status_code for _ in range(410)]
    assert codes.count(200) == 400
    response = here.post("/api/next")
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    seconds.now += 0.1
    assert [here.post("/api/next").status_code for _ in range(21)].count(200) == 20


def test_strangers_do_not_use_up_what_the_panel_may_ask(here: httpx.Client) -> None:
    for _ in range(500):
        here.post("/secret")
    assert here.post("/secret").status_code == 429
    assert here.post("/api/next").status_code == 200
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert here.post("/secret", headers=headers).status_code == 200
    for _ in range(410):
        here.post("/api/next")
    assert here.post("/api/next").status_code == 429
    assert here.post("/secret", headers=headers).status_code == 200


def test_answers_are_for_our_pages_alone(here: httpx.Client) -> None:
    headers = here.get("/").headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_which_addresses_are_this_machine_alone(address: str, local: bool) -> None:
    assert is_loopback(address) is local


def test_who_says_nothing_loses_the_place(
    here: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "REQUEST_SECONDS", 0.5)
    url = here.base_url
    for said in (b"", b"POST /api/next HTTP/1.1\r\nHost: 127"):
        with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
            connection.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
    # One that is being answered keeps it.
    assert here.get("/").status_code == 200


def test_answers_do_not_wait_for_acknowledgements(here: httpx.Client) -> None:
    times = []
    for _ in range(21):
        began = time.perf_counter()
        here.post("/api/next", json={})
        times.append(time.perf_counter() - began)
    # The other side's system puts an acknowledgement off for 40 ms.
    assert sorted(times)[len(times) // 2] < 0.03
