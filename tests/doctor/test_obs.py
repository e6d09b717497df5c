"""OBS: the real one where it is installed, and servers that are not OBS."""

from __future__ import annotations

import http.server
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from obs_stylizer.doctor import obs
from obs_stylizer.doctor.findings import Finding, Notes, State
from obs_stylizer.doctor.obs_probe import Reception, visit
from obs_stylizer.doctor.situation import Situation
from tests.doctor import real_obs
from tests.fakes import display

PASSWORD = "right and secret"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real OBS."""
    if missing := real_obs.missing():
        pytest.skip(f"{missing} not installed (apt install obs-studio xvfb)")
    port = free_port()
    home = tmp_path_factory.mktemp("obs")
    with display.start(640, 480) as screen, real_obs.running(home, screen.name, port, PASSWORD):
        # It listens before its scenes are loaded.
        for _ in range(100):
            if visit("127.0.0.1", port, PASSWORD, 5).scenes:
                break
        yield port


@pytest.fixture(autouse=True)
def no_password_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBS_WEBSOCKET_PASSWORD", raising=False)


def examine(situation: Situation) -> dict[str, Finding]:
    return {finding.name: finding for finding in obs.examine(Notes("OBS"), situation)}


def test_a_visit_tells_what_obs_is_and_has(studio: int) -> None:
    seen = visit("127.0.0.1", studio, PASSWORD, 5)
    assert seen.reception is Reception.WELCOME
    assert seen.scenes == real_obs.SCENES
    assert seen.collection == "Test"
    assert seen.obs_version[:2].isdigit()
    assert seen.websocket_version.startswith("5.")
    assert seen.needs_password


def test_the_right_password_and_scenes_that_are_there(
    studio: int, situation: Callable[..., Situation]
) -> None:
    scenes = {"Talking": "great-wave", "Break": {"preset": "plain"}}
    found = examine(situation(obs={"port": studio, "password": PASSWORD, "scenes": scenes}))
    assert {finding.state for finding in found.values()} == {State.OK}
    assert found["OBS"].seen.startswith("OBS ")
    assert found["scenes"].seen == "all 2 that are configured are there"


def test_a_wrong_password_is_a_fault_and_never_shown(
    studio: int, situation: Callable[..., Situation]
) -> None:
    found = examine(situation(obs={"port": studio, "password": "wrong and secret"}))
    fault = found["password"]
    assert fault.state is State.FAULT
    assert "refuses the password in the configuration" in fault.seen
    assert "wrong and secret" not in repr(found)


def test_a_wrong_password_in_the_environment_is_named_as_such(
    studio: int, situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", "wrong too")
    found = examine(situation(obs={"port": studio, "password": PASSWORD}))
    assert "refuses the password in OBS_WEBSOCKET_PASSWORD" in found["password"].seen


def test_no_password_where_one_is_wanted(studio: int, situation: Callable[..., Situation]) -> None:
    found = examine(situation(obs={"port": studio}))
    assert found["password"].state is State.FAULT
    assert "none is configured" in found["password"].seen


def test_scenes_inputs_and_presets_that_do_not_exist(
    studio: int, situation: Callable[..., Situation]
) -> None:
    settings = {
        "port": studio,
        "password": PASSWORD,
        "scenes": {"Taking": "great-wave", "Break": "grate-wave"},
        "presets": {"plain": "Nowhere at all"},
        "text_input": "Title",
    }
    found = examine(situation(obs=settings))
    assert found["scene “Taking”"].state is State.WARNING
    assert found["scene “Taking”"].remedy == "did you mean “Talking”?"
    assert "it has: Talking, Break" in found["scene “Nowhere at all”"].remedy
    assert found["input “Title”"].state is State.WARNING
    assert found["preset “grate-wave”"].state is State.FAULT
    assert "great-wave" in found["preset “grate-wave”"].remedy


def test_without_obs_it_depends_on_whether_it_is_configured(
    situation: Callable[..., Situation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(obs, "runs_here", lambda: False)
    port = free_port()
    wanted = {"port": port, "scenes": {"A": "plain"}}
    assert examine(situation(obs=wanted))["OBS"].state is State.WARNING
    assert examine(situation(obs={"port": port, "enabled": False}))["OBS"].state is State.OK
    monkeypatch.setattr(obs, "runs_here", lambda: True)
    running = examine(situation(obs=wanted))["OBS"]
    assert "its server is off" in running.seen
    assert "Enable WebSocket server" in running.remedy


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Something that says ``reply`` and hangs up; with nothing to say, it stays on the line."""
    over = threading.Event()

    class Reply(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            # Whoever asked may be gone again.
            with suppress(OSError):
                self.request.sendall(reply)
                if reply:
                    self.request.shutdown(socket.SHUT_WR)
            over.wait(30)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Reply) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        over.set()
        server.shutdown()


def test_a_web_server_is_no_obs(situation: Callable[..., Situation]) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = examine(situation(obs={"port": server.server_address[1]}))
        server.shutdown()
    assert found["OBS"].state is State.FAULT
    assert "another program than OBS" in found["OBS"].seen


def test_something_that_is_no_web_server_either() -> None:
    with answering(b"SSH-2.0-hello\r\n") as port:
        assert visit("127.0.0.1", port, "", 3).reception is Reception.STRANGER


def test_something_that_says_nothing() -> None:
    with answering(b"") as port:
        assert visit("127.0.0.1", port, "", 0.5).reception is Reception.SILENT


def test_an_old_obs_waits_for_the_client_to_speak() -> None:
    from websockets.sync.server import ServerConnection, serve

    def wait(connection: ServerConnection) -> None:
        for _ in connection:
            pass

    with serve(wait, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        assert visit("127.0.0.1", port, "", 0.5).reception is Reception.OLD
        server.shutdown()


def test_a_port_at_which_nobody_listens() -> None:
    assert visit("127.0.0.1", free_port(), "", 1).reception is Reception.NOBODY
