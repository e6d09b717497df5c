"""The control surface at its port: taken, freed, started, ended; and a whole daemon behind it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import psutil
import pytest

from obs_stylizer.daemon.app import Daemon
from obs_stylizer.daemon.control_surfaces import control_surface_factories, open_server
from obs_stylizer.daemon.options import DaemonOptions
from obs_stylizer.errors import SettingsError
from obs_stylizer.frames import FrameSize
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.locks import ResourceLock
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import (
    RecordingSettings,
    Settings,
    WebSettings,
    bundled_folder,
    load_settings,
)
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sources.spec import SourceSpec
from obs_stylizer.web.page import page_paths
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.token import read_or_make_token
from obs_stylizer.web.web_control import WebControl
from tests.fakes.control_api import FakeControlApi
from tests.web.conftest import TOKEN, Running, eventually, on_air, wait_until_served

OURS = ("web", "panel", "preview", "thumbnails", "jpeg", "web-work")


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in OURS]


@pytest.mark.parametrize("by_us", [True, False])
def test_port_that_is_taken_costs_the_panel_only(
    folder: Path, free_port: int, by_us: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    listener = None if by_us else socket.create_server(("127.0.0.1", free_port))
    lock = ResourceLock.take(f"port {free_port}") if by_us else None
    server = SharedServer(free_port, token=TOKEN, public_paths=page_paths())
    with FakeControlApi(folder, first="ink") as api:
        control = WebControl(api, server, RecordingSettings(folder=str(folder)), {})
        control._again_seconds = 0.2
        control.start()
        eventually(lambda: "no panel for now" in caplog.text)
        if lock is not None:
            lock.release()
        if listener is not None:
            listener.close()
        wait_until_served(server)
        control.stop()
    assert caplog.text.count("no panel for now") == 1
    assert f"port {free_port} is held by" in caplog.text
    assert f"panel: http://127.0.0.1:{free_port}/?token={TOKEN}" in caplog.text


def test_ending_while_the_port_is_taken(folder: Path, free_port: int) -> None:
    server = SharedServer(free_port)
    with FakeControlApi(folder) as api, socket.create_server(("127.0.0.1", free_port)):
        control = WebControl(api, server, RecordingSettings(folder=str(folder)), {})
        control.start()
        control.stop()
        control.stop()
    assert own_threads() == []


def test_nothing_is_left_behind(panel: Running) -> None:
    connections = [panel.client.stream("GET", f"/preview.mjpg?view={v}") for v in ("raw", "pair")]
    for connection in connections:
        connection.__enter__()
    panel.client.get("/api/presets/ink/thumbnail.jpg")
    port = int(panel.url.rpartition(":")[2])
    panel.stop()
    assert own_threads() == []
    listening = [entry.laddr.port for entry in psutil.Process().net_connections("tcp")
                 if entry.status == psutil.CONN_LISTEN]  # fmt: skip
    assert port not in listening
    assert not panel.api.event_bus._subscribers
    panel.control.stop()  # type: ignore[union-attr]


def test_a_panel_may_come_back_at_once(folder: Path, free_port: int) -> None:
    with on_air(folder, port=free_port) as panel:
        for _ in range(3):
            panel.stop()
            panel.start()
        assert panel.client.get("/").status_code == 200


# A whole daemon --------------------------------------------------------------------------------


@contextmanager
def daemon_on_air(tmp_path: Path, port: int, sinks: tuple[str, ...]) -> Iterator[Daemon]:
    settings = Settings(
        web=WebSettings(port=port),
        recording=RecordingSettings(folder=str(tmp_path), snapshots=str(tmp_path)),
        listen_for_keys=False,
    )
    server = open_server(settings.web)
    options = DaemonOptions(
        source=SourceSpec.parse("pattern"),
        sinks=tuple(SinkSpec.parse(sink) for sink in sinks),
        preset="great-wave",
        size=FrameSize(320, 180),
        fps=30.0,
        process_size=FrameSize(256, 144),
        session=SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1),
        preload=False,
        recording=settings.recording,
    )
    factories = control_surface_factories(settings, tmp_path / "config.yaml", server)
    library = PresetLibrary([bundled_folder("presets")])
    with Daemon(options, library, control_surfaces=factories, server=server) as daemon:
        eventually(lambda: daemon.mailbox.counters().styled > 0, 60)
        wait_until_served(server)
        yield daemon


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_stream_panel_and_commands_of_a_daemon_at_one_port(tmp_path: Path, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    token = read_or_make_token()
    known = {"Authorization": f"Bearer {token}"}
    with (
        daemon_on_air(tmp_path, free_port, ("null", f"http:{free_port}")) as daemon,
        httpx.Client(base_url=url, timeout=60, headers=known) as client,
    ):
        for path in ("/stream.mjpg?", "/preview.mjpg?view=pair&"):
            with av.open(
                f"{url}{path}token={token}", options={"strict_mime_boundary": "1"}
            ) as container:
                assert next(container.decode(video=0)).height == 180
        answer = client.post("/api/preset", json={"name": "scream", "crossfade_ms": 0})
        assert answer.json()["text"] == "preset scream"
        assert client.get("/api/status").json()["styles"]["scream"] == 1.0
        saved = client.post("/api/snapshot").json()["details"]
        names = [Path(path).name for path in saved.values()]
        listed = [file["name"] for file in client.get("/api/snapshots").json()["files"]]
        assert set(names) <= set(listed)
        assert client.get(f"/api/snapshots/{names[0]}").content.startswith(b"\x89PNG")
        eventually(lambda: client.get("/api/presets/scream/thumbnail.jpg").status_code == 200, 60)
        assert client.post("/api/quit").json()["text"] == "ending"
        assert daemon.wait(10)
    assert own_threads() == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_daemon_without_its_port_stays_on_air(tmp_path: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        settings = Settings(web=WebSettings(port=free_port), listen_for_keys=False)
        server = open_server(settings.web)
        options = DaemonOptions(
            source=SourceSpec.parse("pattern"),
            sinks=(SinkSpec.parse("null"),),
            preset="plain",
            size=FrameSize(320, 180),
            fps=30.0,
        )
        factories = control_surface_factories(settings, tmp_path / "config.yaml", server)
        library = PresetLibrary([bundled_folder("presets")])
        with Daemon(options, library, control_surfaces=factories, server=server) as daemon:
            eventually(lambda: daemon.statistics().sent > 30, 60)
    assert own_threads() == []


@pytest.mark.parametrize("address", ["elsewhere", "300.1.1.1", "", "http://127.0.0.1"])
def test_wrong_addresses_are_refused_in_the_settings(tmp_path: Path, address: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f'web: {{address: "{address}"}}\n', "utf-8")
    with pytest.raises(SettingsError, match=r"is no |is more than a machine"):
        load_settings(path)


def test_an_address_of_another_machine(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = SharedServer(0, "192.0.2.1", TOKEN)
    with FakeControlApi(folder) as api:
        control = WebControl(api, server, RecordingSettings(folder=str(folder)), {})
        control.start()
        eventually(lambda: "192.0.2.1 is no address of this machine's" in caplog.text)
        control.stop()
