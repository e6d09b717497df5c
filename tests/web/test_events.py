"""What listeners hear, and that nobody waits for one who is slow."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.web import event_feed
from tests.web.conftest import Running, eventually


def listen(panel: Running) -> ClientConnection:
    return connect(panel.url.replace("http", "ws") + "/api/events", max_queue=2)


def heard(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of that kind."""
    while True:
        message: dict[str, Any] = json.loads(connection.recv(10))
        if message["kind"] == kind:
            return message


def test_first_comes_the_status_with_the_last_minutes(panel: Running) -> None:
    for _ in range(event_feed.HISTORY + 5):
        panel.api.tell_statistics()
    with listen(panel) as connection:
        hello = heard(connection, "hello")["details"]
    assert hello["preset"] == "ink"
    assert hello["worker"] == {"state": "", "pid": 0, "restarts": 0}
    assert hello["history"] == [[30.0, 0.0, 0.0]] * event_feed.HISTORY


def test_what_is_published_reaches_all(panel: Running) -> None:
    with listen(panel) as first, listen(panel) as second:
        for connection in (first, second):
            heard(connection, "hello")
        panel.client.post("/api/strength", json={"strength": 0.5})
        for connection in (first, second):
            state = heard(connection, "state")
            assert state["details"]["strength"] == 0.5
            assert state["details"]["changed"] == ["strength"]
        panel.api.tell_statistics()
        assert heard(first, "statistics")["details"]["preset"] == "ink"
        panel.client.post("/api/snapshot")
        assert heard(second, "snapshot")["text"].startswith("saved ")


def test_nothing_is_taken_from_a_listener(panel: Running) -> None:
    with listen(panel) as connection:
        heard(connection, "hello")
        connection.send('{"command": "quit"}')
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1008,
        "send commands to POST /api/command",
    )
    assert not panel.api.has_quit


def test_a_listener_that_does_not_read_is_sent_away(panel: Running) -> None:
    asleep = raw_listener(panel)
    with asleep, listen(panel) as awake:
        heard(awake, "hello")
        long_text = "x" * 200_000
        for number in range(150):
            panel.api.event_bus.publish(
                ControlEvent(EventKind.SNAPSHOT, long_text, {"number": number})
            )
            assert heard(awake, "snapshot")["details"]["number"] == number
        listeners = panel.control._event_feed  # type: ignore[union-attr]
        eventually(lambda: listeners.listener_count == 1)


def raw_listener(panel: Running) -> socket.socket:
    """One that says hello and then never reads."""
    host, port = panel.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = (
        f"GET /api/events HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    connection.sendall(head.encode())
    assert b"101" in connection.recv(200)
    return connection


def test_statistics_are_what_a_slow_listener_misses_first(panel: Running) -> None:
    with listen(panel) as connection:
        heard(connection, "hello")
        for _ in range(500):
            panel.api.tell_statistics()
        panel.client.post("/api/freeze")
        assert heard(connection, "state")["details"]["freeze"] is True


def test_places_are_limited(panel: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "MAX_LISTENERS", 2)
    with listen(panel) as first, listen(panel) as second:
        heard(first, "hello")
        heard(second, "hello")
        with listen(panel) as third, pytest.raises(ConnectionClosed, match="too many listeners"):
            third.recv(10)
    with listen(panel) as fourth:
        heard(fourth, "hello")


def test_everybody_is_sent_away_at_the_end(panel: Running) -> None:
    with listen(panel) as connection:
        heard(connection, "hello")
        panel.stop()
        with pytest.raises((ConnectionClosed, OSError)):
            connection.recv(10)
