"""The connection to OBS: every way in which the other side can misbehave ends in time."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from obswebsocket import requests

from obs_stylizer.control.obs.connection import Connection, ObsEvent
from obs_stylizer.control.obs.link import Link
from obs_stylizer.errors import ObsError
from tests.fakes import obs_server
from tests.fakes.obs_server import PASSWORD, FakeObs, Script


def connection_to(server: FakeObs, password: str = PASSWORD) -> Connection:
    return Connection("127.0.0.1", server.port, password)


class Heard:
    """What a link told."""

    def __init__(self) -> None:
        self.connections: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self.lost: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.events: queue.SimpleQueue[ObsEvent] = queue.SimpleQueue()


@contextmanager
def link_to(port: int, password: str = PASSWORD) -> Iterator[Heard]:
    heard = Heard()
    link = Link(
        "127.0.0.1", port, password, heard.connections.put, heard.lost.put, heard.events.put
    )
    link.start()
    try:
        yield heard
    finally:
        began = time.perf_counter()
        link.stop()
        assert time.perf_counter() - began < 4
        assert "obs-link" not in [thread.name for thread in threading.enumerate()]


def free_port() -> int:
    server = FakeObs()
    server.close()
    return server.port


def test_request_is_answered_with_its_data() -> None:
    with obs_server.running() as server:
        connection = connection_to(server)
        connection.connect()
        receiving = threading.Thread(target=connection.receive)
        receiving.start()
        assert connection.ask("GetVersion")["obsVersion"] == "29.0.2"
        # The library's own request objects work too.
        assert connection.call(requests.GetVersion()).getObsVersion() == "29.0.2"
        connection.leave()
        receiving.join(5)
        assert not receiving.is_alive()


def test_refused_request_tells_code_and_comment() -> None:
    with obs_server.running() as server:
        server.answers["SetCurrentProgramScene"] = "No source was found by the name of `X`."
        with link_to(server.port) as heard:
            connection = heard.connections.get(timeout=5)
            with pytest.raises(ObsError, match="SetCurrentProgramScene: No source was found") as no:
                connection.ask("SetCurrentProgramScene", sceneName="X")
            assert no.value.code == 600


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (obs_server.mute, "does not answer"),
        (obs_server.mute_after_opening, "does not answer: it opened the connection"),
        (obs_server.version_4, r"obs-websocket 4\.9\.1 is too old"),
        (obs_server.version_4_with_an_event, "obs-websocket 4 is too old"),
        (obs_server.slow, "does not answer"),
        (obs_server.http_503, "not ready .HTTP 503"),
        (obs_server.web_page, "not OBS"),
        (obs_server.redirect, "not OBS"),
        (obs_server.reset_at_once, "hung up"),
        (obs_server.wrong_version, "another version"),
        (obs_server.broken_hello, "not OBS"),
    ],
)
def test_bad_server_is_left_in_time_with_a_reason(script: Script, reason: str) -> None:
    with obs_server.running(script) as server:
        connection = connection_to(server)
        began = time.perf_counter()
        try:
            with pytest.raises(ObsError, match=reason):
                connection.connect()
        finally:
            connection.disconnect()
        assert time.perf_counter() - began < 4


@pytest.mark.parametrize(
    "script",
    [obs_server.mute_after_opening, obs_server.version_4, obs_server.version_4_with_an_event],
)
def test_an_old_server_has_a_remedy(script: Script) -> None:
    with obs_server.running(script) as server:
        connection = connection_to(server)
        with pytest.raises(ObsError) as error:
            connection.connect()
        connection.disconnect()
        assert "install OBS 28 or newer" in error.value.remedy


def test_a_late_greeting_is_a_greeting() -> None:
    with obs_server.running(obs_server.late_hello) as server:
        connection = connection_to(server)
        connection.connect()
        assert connection.server_version == "5.1.0"
        connection.disconnect()


def test_an_ipv6_address_is_shown_in_brackets() -> None:
    assert str(Connection("::1", 4455, PASSWORD)) == "OBS at [::1]:4455"


def test_nobody_there() -> None:
    with pytest.raises(ObsError, match=r"nothing answers there \(connection refused") as error:
        Connection("127.0.0.1", free_port(), PASSWORD).connect()
    assert "start OBS" in error.value.remedy


def test_wrong_password_is_named_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with obs_server.running() as server:
        with pytest.raises(ObsError, match="refuses the password") as error:
            connection_to(server, "wrong-but-private").connect()
        assert error.value.code == 4009
        with link_to(server.port) as heard:
            heard.connections.get(timeout=5).ask("GetVersion")
    shown = caplog.text + str(error.value) + repr(connection_to(server))
    assert PASSWORD not in shown
    assert "wrong-but-private" not in shown


def test_pending_request_fails_at_once_when_the_link_drops() -> None:
    def drop(wire: obs_server.Wire) -> None:
        wire.welcome()
        wire.hear()
        wire.reset()

    with obs_server.running(drop) as server, link_to(server.port) as heard:
        connection = heard.connections.get(timeout=5)
        began = time.perf_counter()
        with pytest.raises(ObsError, match="not connected any more"):
            connection.ask("GetVersion")
        assert time.perf_counter() - began < 1
        with pytest.raises(ObsError, match="not connected"):
            connection.ask("GetVersion")


def test_unanswered_request_fails_and_a_dead_link_is_left() -> None:
    with obs_server.running(obs_server.deaf) as server, link_to(server.port) as heard:
        connection = heard.connections.get(timeout=5)
        began = time.perf_counter()
        with pytest.raises(ObsError, match="does not answer"):
            connection.ask("GetVersion")
        assert time.perf_counter() - began < 4.5
        assert heard.lost.get(timeout=8) == "it is silent"


@pytest.mark.parametrize("script", [obs_server.broken_json, obs_server.large_message])
def test_bad_message_is_left_out_and_the_next_one_heard(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    with obs_server.running(script) as server, link_to(server.port) as heard:
        event = heard.events.get(timeout=10)
        assert event == ObsEvent("CurrentProgramSceneChanged", {"sceneName": "B"})
        assert heard.connections.get(timeout=5).ask("GetVersion")["obsVersion"] == "29.0.2"
        assert heard.lost.empty()
    assert "from OBS" in caplog.text


def test_endless_message_ends_the_connection() -> None:
    with obs_server.running(obs_server.endless_message) as server, link_to(server.port) as heard:
        assert "it sent a message of 1048576 MB" in heard.lost.get(timeout=10)


@pytest.mark.parametrize(
    "bad",
    [
        obs_server.reset_at_once,
        obs_server.reset_after_welcome,
        obs_server.http_503,
        obs_server.broken_hello,
    ],
)
def test_comes_back_after_trouble(bad: Script) -> None:
    with (
        obs_server.running(bad, obs_server.normal) as server,
        link_to(server.port) as heard,
    ):
        until(lambda: len(server.wires) >= 2)

        def answers() -> bool:
            # Those that the bad server welcomed come before the good one's.
            try:
                reply = heard.connections.get(timeout=5).ask("GetVersion")
            except ObsError:
                return False
            return bool(reply["obsVersion"] == "29.0.2")

        until(answers)


def test_one_line_for_each_change_of_state(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if "OBS at" in record.getMessage()]

    with link_to(port) as heard:
        assert "nothing answers" in heard.lost.get(timeout=5)
        time.sleep(2)
        with obs_server.running(port=port):
            heard.connections.get(timeout=5)
            assert len(lines()) == 2
        assert "ended" in heard.lost.get(timeout=5)
        time.sleep(2)
        assert len(lines()) == 3
        with obs_server.running(port=port):
            began = time.perf_counter()
            heard.connections.get(timeout=5)
            assert time.perf_counter() - began < 5
            told = [line.split(": ")[1].split(" (")[0].split(";")[0] for line in lines()]
    ended = "the connection ended"
    assert told == ["nothing answers there", "connected", ended, "connected"]


def test_stops_in_whatever_it_is() -> None:
    for script in (obs_server.mute, obs_server.slow, obs_server.deaf, obs_server.normal):
        with obs_server.running(script) as server, link_to(server.port):
            until(lambda server=server: server.wires)  # type: ignore[misc]
            # link_to checks that nothing is left.


def test_failing_subscriber_does_not_end_the_link(log_errors: list[str]) -> None:
    def events(wire: obs_server.Wire) -> None:
        wire.welcome()
        wire.event("One")
        wire.event("Two")
        wire.serve()

    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def hear(event: ObsEvent) -> None:
        heard.put(event.name)
        raise RuntimeError("a fault of ours")

    with obs_server.running(events) as server:
        connection = Connection("127.0.0.1", server.port, PASSWORD, hear)
        connection.connect()
        receiving = threading.Thread(target=connection.receive)
        receiving.start()
        assert [heard.get(timeout=5), heard.get(timeout=5)] == ["One", "Two"]
        connection.leave()
        receiving.join(5)
    assert len(log_errors) == 2
    log_errors.clear()


def until(condition: Callable[[], object], timeout: float = 15.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)
