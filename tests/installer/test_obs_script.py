"""The OBS script in a real OBS: its hotkeys reach the daemon, and no daemon can hold OBS up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from obs_stylizer.control.event_bus import ControlEvent
from obs_stylizer.control.obs.visit import visit
from obs_stylizer.settings import ObsSettings, RecordingSettings
from obs_stylizer.web.page import page_paths
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.web_control import WebControl
from tests.fakes import display, real_obs
from tests.fakes.control_api import FakeControlApi
from tests.fakes.real_obs import RealObs

pytestmark = pytest.mark.obs

SCRIPT = Path(__file__).resolve().parents[2] / "installer" / "obs" / "obs-stylizer.lua"
TOKEN = "a-token-that-is-long-enough"
HOLD_KEY = "OBS_KEY_F5"


@pytest.fixture(scope="module")
def screen() -> Iterator[display.Display]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as started:
        yield started


@contextmanager
def obs_with_script(
    screen: display.Display, home: Path, port: int, **settings: Any
) -> Iterator[RealObs]:
    values = {"address": f"127.0.0.1:{port}", **settings}
    # So few frames a second that a busy machine makes none of them late.
    obs = RealObs(home, screen.name, fps=10, scripts=[(SCRIPT, values)])
    obs.configure()
    obs.start()
    try:
        yield obs
    finally:
        obs.end()
        runs = obs.log().split(": Loaded lua script")[1:]
        assert runs
        # OBS 29 itself may crash while its window is taken apart, also without any script.
        for run, ended_well in zip(runs, obs.ended_well, strict=True):
            assert run.count("Unloaded lua script") == 1 or not ended_well
        shown = [line for line in obs.log().splitlines() if "[Lua: obs-stylizer.lua]" in line]
        assert not [line for line in shown if "Error" in line or "attempt to" in line], shown


def ask(obs: RealObs, request: str, **data: Any) -> dict[str, Any]:
    settings = ObsSettings.model_validate({"port": obs.port, "password": obs.password})
    with visit(settings) as connection:
        return connection.ask(request, **data)


def press(obs: RealObs, name: str) -> None:
    ask(obs, "TriggerHotkeyByName", hotkeyName=f"obs_stylizer.{name}")


def hotkeys(obs: RealObs) -> set[str]:
    names = ask(obs, "GetHotkeyList")["hotkeys"]
    return {n.removeprefix("obs_stylizer.") for n in names if n.startswith("obs_stylizer.")}


def until(condition: Callable[[], object], timeout: float = 15.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    folder = tmp_path / "presets"
    folder.mkdir()
    for name in ("ink", "plain", "wäve"):
        (folder / f"{name}.yaml").write_text(f'title: The "{name}"\nstrength: 0.5\n', "utf-8")
    return folder


@contextmanager
def panel(api: FakeControlApi, port: int, folder: Path) -> Iterator[WebControl]:
    """The daemon's web server."""
    server = SharedServer(port, "127.0.0.1", TOKEN, page_paths())
    folders = RecordingSettings(folder=str(folder), snapshots=str(folder))
    control = WebControl(api, server, folders, {}, None)
    control.start()
    try:
        yield control
    finally:
        control.stop()


def test_hotkeys_for_every_command_and_preset(
    screen: display.Display, presets: Path, tmp_path: Path
) -> None:
    port = real_obs.free_port()
    held: list[bool] = []

    def hear(control_event: ControlEvent) -> None:
        if "bypass" in control_event.details.get("changed", ()):
            held.append(control_event.details["bypass"])

    binding = {"obs_stylizer.hold-bypass": [{"key": HOLD_KEY}]}
    # Where the script finds the token, without which nothing is recorded.
    (tmp_path / "home" / "obs-stylizer").mkdir(parents=True)
    (tmp_path / "home" / "obs-stylizer" / "token").write_text(f"{TOKEN}\n", "utf-8")
    with (
        FakeControlApi(presets, first="plain") as api,
        panel(api, port, tmp_path),
        obs_with_script(screen, tmp_path / "home", port, **binding) as obs,
    ):
        api.subscribe(hear)
        until(lambda: "preset.wäve" in hotkeys(obs))
        commands = {"next", "previous", "undo", "stronger", "weaker", "bypass", "hold-bypass"}
        others = {"freeze", "record", "snapshot", "reload"}
        named = {"preset.ink", "preset.plain", "preset.wäve"}
        assert hotkeys(obs) == commands | others | named
        press(obs, "preset.wäve")
        until(lambda: api.on_air.preset == "wäve")
        press(obs, "next")
        until(lambda: api.on_air.preset == "ink")
        press(obs, "stronger")
        until(lambda: api.on_air.strength == 0.6)
        press(obs, "weaker")
        press(obs, "weaker")
        until(lambda: api.on_air.strength == 0.4)
        press(obs, "freeze")
        until(lambda: api.frozen)
        press(obs, "undo")
        until(lambda: api.on_air.strength == 0.5)
        press(obs, "record")
        until(lambda: api.on_air.recording)
        # OBS keeps the keys with the script, so that this one was bound before it started.
        ask(obs, "TriggerHotkeyByKeySequence", keyId=HOLD_KEY)
        until(lambda: len(held) == 2)
        assert held == [True, False]
        assert obs.log().count("is reached") == 1


def test_presets_of_last_time_have_their_hotkeys_without_a_daemon(
    screen: display.Display, presets: Path, tmp_path: Path
) -> None:
    port = real_obs.free_port()
    with obs_with_script(screen, tmp_path / "home", port) as obs:
        with FakeControlApi(presets, first="plain") as api, panel(api, port, tmp_path):
            until(lambda: "preset.ink" in hotkeys(obs))
        until(lambda: "nothing answers at" in obs.log() or "does not answer" in obs.log())
        obs.end()
        obs.start()
        until(lambda: "preset.ink" in hotkeys(obs))
        press(obs, "preset.ink")
        # The daemon that comes back later is found, and the old key is not meant any more.
        time.sleep(2.5)
        with FakeControlApi(presets, first="plain") as api, panel(api, port, tmp_path):
            until(lambda: obs.log().count("is reached") == 2)
            assert api.on_air.preset == "plain"
            press(obs, "preset.ink")
            until(lambda: api.on_air.preset == "ink")


class BadDaemon:
    """Answers connections in bad ways, one after another, and counts them.

    With none, connections are taken by the system, and nobody ever looks at them.
    """

    def __init__(self, *answers: Callable[[socket.socket], None]) -> None:
        self.connections = 0
        self._answers = answers
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)
        if answers:
            self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            answer = self._answers[self.connections % len(self._answers)]
            self.connections += 1
            self._open.append(connected)
            threading.Thread(target=self._serve, args=(answer, connected), daemon=True).start()

    def _serve(self, answer: Callable[[socket.socket], None], connected: socket.socket) -> None:
        with suppress(OSError):
            answer(connected)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connected in self._open:
            connected.close()
        if self._answers:
            self._thread.join(5)


def never(connected: socket.socket) -> None:
    connected.recv(4096)
    time.sleep(60)


def slowly(connected: socket.socket) -> None:
    connected.recv(4096)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" * 100:
        connected.send(bytes([byte]))
        time.sleep(0.2)


def garbage(connected: socket.socket) -> None:
    connected.recv(4096)
    connected.sendall(b"\xff\x00nonsense\r\n\r\n" * 100)
    connected.close()


def broken_json(connected: socket.socket) -> None:
    connected.recv(4096)
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{not json")
    connected.close()


def endless(connected: socket.socket) -> None:
    connected.recv(4096)
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        connected.sendall(b"x" * 65536)


def refusal(connected: socket.socket) -> None:
    connected.recv(4096)
    body = b'{"error": {"message": "a token is needed", "remedy": "give it"}}'
    connected.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    connected.close()


BAD_WAYS = (garbage, broken_json, endless, refusal, never, slowly)


@pytest.mark.parametrize("answers", [(), BAD_WAYS], ids=["hung", "bad"])
def test_bad_daemon_holds_nothing_up(
    answers: tuple[Callable[[socket.socket], None], ...], screen: display.Display, tmp_path: Path
) -> None:
    daemon = BadDaemon(*answers)
    try:
        with obs_with_script(screen, tmp_path / "home", daemon.port) as obs:
            time.sleep(2.0)
            settings = ObsSettings.model_validate({"port": obs.port, "password": obs.password})
            with visit(settings) as hand:
                before = hand.ask("GetStats")
                for _ in range(100):
                    hand.ask("TriggerHotkeyByName", hotkeyName="obs_stylizer.next")
                    time.sleep(0.08)
                after = hand.ask("GetStats")
            frames = after["renderTotalFrames"] - before["renderTotalFrames"]
            late = after["renderSkippedFrames"] - before["renderSkippedFrames"]
            assert frames >= 70
            assert late <= 2
            assert daemon.connections >= 2 * len(answers)
            assert obs.process is not None
            assert obs.process.poll() is None
    finally:
        daemon.close()


def test_address_that_is_none_is_told(screen: display.Display, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with obs_with_script(screen, home, 1, address="my-computer:http") as obs:
        time.sleep(1.0)
        press(obs, "next")
        press(obs, "bypass")
        assert hotkeys(obs) >= {"next", "bypass"}
