"""A web adapter at a free port, at a desk with the real controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from obs_stylizer.control.web.adapter import WebAdapter
from obs_stylizer.control.web.page import page_paths
from obs_stylizer.errors import UsageError
from obs_stylizer.settings import RecordingSettings
from obs_stylizer.sinks.shared_server import SharedServer
from tests.fakes.desk import FakeDesk

TOKEN = "a-token-that-is-long-enough"


@dataclass
class FakeObs:
    """OBS with two scenes, behind a map that is kept in memory."""

    saved: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        state = {"connected": True, "trouble": "", "program": "Talk", "hints": []}
        return {"enabled": True, "state": state, "scenes": ["Talk", "Pause"], **self.saved}

    def save(self, scene_map: Mapping[str, Any]) -> None:
        if "Moon" in scene_map["scene_map"]:
            raise UsageError("there is no scene on the moon", "choose another")
        self.saved = {"default": {}, **scene_map}


@dataclass
class Running:
    """A panel on air."""

    url: str
    desk: FakeDesk
    server: SharedServer
    client: httpx.Client
    recording: RecordingSettings
    obs: FakeObs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, title in (("great-wave", "Great Wave"), ("ink", "Ink"), ("plain", "Plain")):
        text = f"title: {title}\ndescription: How {title} looks.\nstrength: 0.8\n"
        (tmp_path / f"{name}.yaml").write_text(text + f"hotkey: ctrl+alt+{name[0]}\n", "utf-8")
    return tmp_path


@pytest.fixture
def panel(folder: Path) -> Iterator[Running]:
    server = SharedServer(0, token=TOKEN, public_paths=page_paths())
    recording = RecordingSettings(folder=str(folder / "films"), snapshots=str(folder / "stills"))
    obs = FakeObs({"scene_map": {"Talk": {"preset": "ink"}}, "default": {}})
    with FakeDesk(folder, first="ink") as desk:
        desk.show((200, 40, 40), (40, 40, 200))
        adapter = WebAdapter(desk, server, recording, {"next": "ctrl+alt+right"}, obs)
        adapter.start()
        wait_until_served(server)
        try:
            with httpx.Client(base_url=server.url, timeout=20) as client:
                yield Running(server.url, desk, server, client, recording, obs)
        finally:
            adapter.stop()


def wait_until_served(server: SharedServer) -> None:
    """Return once the panel answers."""
    end = monotonic() + 20
    while monotonic() < end:
        try:
            if httpx.get(f"{server.url}/api/status").status_code == 200:
                return
        except httpx.TransportError:
            pass
        sleep(0.02)
    raise AssertionError("the panel does not answer")
