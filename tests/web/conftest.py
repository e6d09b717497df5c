"""A web control surface at a free port, at a control API with the real controller."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from obs_stylizer.errors import SettingsError
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.web.page import page_paths
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.web_control import WebControl
from tests.fakes.control_api import FakeControlApi

TOKEN = "a-token-that-is-long-enough"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class FakeObs:
    """OBS with two scenes, behind a map that is kept in memory."""

    saved: dict[str, Any]
    refuses: bool = False

    def describe(self) -> dict[str, Any]:
        state = {"connected": True, "trouble": "", "program": "Talk", "hints": []}
        return {"enabled": True, "state": state, "scenes": ["Talk", "Pause"], **self.saved}

    def save(self, scene_map: Mapping[str, Any]) -> None:
        if self.refuses:
            raise SettingsError("the disk is full", "make room")
        self.saved = {"default": {}, **scene_map}


@dataclass
class Running:
    """A panel on air; :meth:`stop` and :meth:`start` as the daemon does."""

    api: FakeControlApi
    server: SharedServer
    recording: RecordingSettings
    obs: FakeObs
    control: WebControl | None = None

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def address(self) -> str:
        """Of the panel, as somebody opens it for the first time."""
        return self.server.with_token("/")

    @property
    def client(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(base_url=self.url, timeout=20, headers=HEADERS)
        return self._client

    _client: httpx.Client | None = None

    def start(self) -> None:
        self.control = WebControl(
            self.api, self.server, self.recording, {"next": "ctrl+alt+right"}, self.obs
        )
        self.control.start()
        wait_until_served(self.server)

    def stop(self) -> None:
        if self.control is not None:
            self.control.stop()
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def on_air(folder: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[Running]:
    """A panel at a control API whose pictures are red without style, and blue with it."""
    server = SharedServer(port, address, TOKEN, page_paths())
    recording = RecordingSettings(folder=str(folder / "films"), snapshots=str(folder / "stills"))
    obs = FakeObs({"scene_map": {"Talk": {"preset": "ink"}}, "default": {}})
    with FakeControlApi(folder, first="ink") as api:
        api.show((200, 40, 40), (40, 40, 200))
        running = Running(api, server, recording, obs)
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, title in (("great-wave", "Great Wave"), ("ink", "Ink"), ("plain", "Plain")):
        text = f"title: {title}\ndescription: How {title} looks.\nstrength: 0.8\n"
        (tmp_path / f"{name}.yaml").write_text(text + f"hotkey: ctrl+alt+{name[0]}\n", "utf-8")
    return tmp_path


@pytest.fixture
def panel(folder: Path) -> Iterator[Running]:
    with on_air(folder) as running:
        yield running


def wait_until_served(server: SharedServer) -> None:
    """Return once the panel answers."""
    eventually(lambda: answers(f"{server.url}/api/access", HEADERS))


def answers(url: str, headers: dict[str, str]) -> bool:
    try:
        return httpx.get(url, headers=headers).status_code == 200
    except httpx.TransportError:
        return False


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that another thread or process does."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0.02)


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
