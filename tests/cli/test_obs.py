"""``obs-stylizer obs`` with a real OBS Studio, and without any."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from obs_stylizer.cli.app import run_command_line
from obs_stylizer.cli.obs import script_file
from obs_stylizer.control.obs.setup import INPUT_NAME, device_feed, feed_for
from obs_stylizer.control.obs.visit import visit
from obs_stylizer.daemon.make_sink import make_sink
from obs_stylizer.errors import ObsError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.listing import Listing
from obs_stylizer.settings import ObsSettings, Settings
from obs_stylizer.sinks import listing
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.web.token import read_or_make_token
from tests.fakes import display, obs_server, real_obs
from tests.fakes.real_obs import SCENES, SOUND, RealObs

TALKING, GAMING, BREAK = SCENES


@pytest.fixture
def obs(tmp_path: Path) -> Iterator[RealObs]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as screen:
        made = RealObs(tmp_path / "obs-home", screen.name)
        made.configure()
        made.start()
        yield made
        made.end()


@pytest.fixture
def stream_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A machine without a virtual camera."""
    monkeypatch.setattr(listing, "list_virtual_cameras", lambda: Listing(reason="no driver"))
    monkeypatch.setenv("COLUMNS", "200")
    return real_obs.free_port()


def write_config(obs: RealObs, tmp_path: Path, stream_port: int, text: str = "") -> str:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"web: {{port: {stream_port}}}\n"
        f"obs:\n  port: {obs.port}\n  password: {obs.password}\n{text}",
        "utf-8",
    )
    return str(path)


def ask(obs: RealObs, request: str, **data: Any) -> dict[str, Any]:
    settings = ObsSettings.model_validate({"port": obs.port, "password": obs.password})
    with visit(settings) as connection:
        return connection.ask(request, **data)


@pytest.mark.obs
def test_setup_adds_the_stream_once_and_obs_shows_it(
    obs: RealObs, stream_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(obs, tmp_path, stream_port)
    size = FrameSize(320, 180)
    sink = make_sink(SinkSpec.parse(f"http:{stream_port}"))
    sink.open(SinkFormat(size, 30.0))
    # Nobody is there to be asked.
    assert run_command_line(["obs", "setup", "--config", config]) == 2
    assert INPUT_NAME not in str(ask(obs, "GetInputList"))
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 0
    out = capsys.readouterr().out
    assert "on top, as large as the picture" in out
    assert "because there is no virtual camera" in out
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 0
    assert "nothing to do" in capsys.readouterr().out
    arguments = ["obs", "setup", "--yes", "--scene", GAMING, "--config", config]
    assert run_command_line(arguments) == 0
    for scene in (TALKING, GAMING):
        items = ask(obs, "GetSceneItemList", sceneName=scene)["sceneItems"]
        assert [item["sourceName"] for item in items].count(INPUT_NAME) == 1
    try:
        colour = shown(obs, sink, size)
    finally:
        sink.close()
    assert np.abs(colour - (200, 40, 60)).max() <= 12, colour


def shown(obs: RealObs, sink: Any, size: FrameSize) -> Any:
    """Send a colour until OBS's program shows something, and return what."""
    pixels = np.full(size.shape, (200, 40, 60), np.uint8)
    colour = np.zeros(3)
    end = time.perf_counter() + 20
    frames = 0
    while time.perf_counter() < end and colour.max() < 50:
        for _ in range(15):
            sink.send(Frame(pixels, frames, time.perf_counter()), repeated=False)
            frames += 1
            time.sleep(1 / 30)
        picture = screenshot(obs)
        colour = picture[80:100, 150:170].mean((0, 1))[::-1]
    return colour


def screenshot(obs: RealObs) -> Any:
    data = ask(obs, "GetSourceScreenshot", sourceName=TALKING, imageFormat="png")["imageData"]
    raw = np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8)
    return cv2.imdecode(raw, cv2.IMREAD_COLOR)


@pytest.mark.obs
def test_setup_changes_what_shows_something_else(
    obs: RealObs, stream_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(obs, tmp_path, stream_port)
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 0
    ask(obs, "SetInputSettings", inputName=INPUT_NAME, inputSettings={"input": "http://x/"})
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 0
    assert "let the input" in capsys.readouterr().out
    settings = ask(obs, "GetInputSettings", inputName=INPUT_NAME)["inputSettings"]
    address = f"http://127.0.0.1:{stream_port}/stream.mjpg"
    assert settings["input"] == f"{address}?token={read_or_make_token()}"
    assert run_command_line(["obs", "setup", "--scene", "Gamin", "--config", config]) == 1
    assert "did you mean “Gaming”" in capsys.readouterr().err


@pytest.mark.obs
def test_setup_adds_the_virtual_camera(
    obs: RealObs,
    stream_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = listing.VirtualCameraInfo("/dev/video9", "obs-stylizer", "v4l2loopback")
    monkeypatch.setattr(listing, "list_virtual_cameras", lambda: Listing([camera]))
    config = write_config(obs, tmp_path, stream_port)
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 0
    found = ask(obs, "GetInputSettings", inputName=INPUT_NAME)
    assert found["inputKind"] == "v4l2_input"
    assert found["inputSettings"]["device_id"] == "/dev/video9"


@pytest.mark.obs
def test_foreign_input_of_our_name_is_left_alone(
    obs: RealObs, stream_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(
        obs,
        "CreateInput",
        sceneName=BREAK,
        inputName=INPUT_NAME,
        inputKind="color_source_v3",
        inputSettings={},
    )
    config = write_config(obs, tmp_path, stream_port)
    assert run_command_line(["obs", "setup", "--yes", "--config", config]) == 1
    assert "of another kind (color_source_v3)" in capsys.readouterr().err


@pytest.mark.obs
def test_status_tells_what_is_mapped_and_what_is_missing(
    obs: RealObs, stream_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        f"  scenes: {{{TALKING}: great-wave, Gamin: scream}}\n"
        f"  default: {{preset: nothing-such, strength: 0.5}}\n"
        f"  audio_inputs: [{SOUND}, Mik]\n  text_input: Title\n"
    )
    config = write_config(obs, tmp_path, stream_port, text)
    assert run_command_line(["obs", "status", "--config", config]) == 0
    out = capsys.readouterr().out
    for expected in (
        "connected",
        "preset great-wave",
        "preset nothing-such, strength 0.5",
        "no scene “Gamin” (did you mean “Gaming”?)",
        "no preset “nothing-such”",
        f"Sound of “{SOUND}”: 40 ms late",
        "“Mik”",
        "“Title”",
        "obs setup adds it",
        "OBS script: not loaded",
    ):
        assert expected in out
    assert obs.password not in out
    assert run_command_line(["obs", "status", "--json", "--config", config]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["program"] == TALKING
    assert report["scenes"][TALKING] == "preset great-wave"
    assert report["sound"] == {SOUND: 40, "Mik": None}


def test_without_obs_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    config = tmp_path / "config.yaml"
    config.write_text(f"obs: {{port: {real_obs.free_port()}}}", "utf-8")
    assert run_command_line(["obs", "status", "--config", str(config)]) == 1
    shown = capsys.readouterr().err
    assert "nothing answers there" in shown
    assert "WebSocket Server Settings" in shown


def test_environment_goes_before_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with obs_server.running() as server:
        config = tmp_path / "config.yaml"
        config.write_text(f"obs: {{port: {server.port}, password: not-this}}", "utf-8")
        assert run_command_line(["obs", "status", "--config", str(config)]) == 1
        assert "refuses the password" in capsys.readouterr().err
        monkeypatch.setenv("OBS_WEBSOCKET_PASSWORD", obs_server.PASSWORD)
        server.answers["GetInputList"] = {"inputs": []}
        server.answers["GetHotkeyList"] = {"hotkeys": ["obs_stylizer.next"]}
        assert run_command_line(["obs", "status", "--config", str(config)]) == 0
        assert "OBS script: 1 hotkeys" in capsys.readouterr().out


def test_script_is_where_it_is_said_to_be() -> None:
    assert script_file().read_text("utf-8").startswith("-- obs-stylizer.lua")


def test_feed_is_chosen_as_run_chooses_its_sink() -> None:
    def feed(cameras: list[str], **values: Any) -> tuple[str, str]:
        made, why = feed_for(Settings.model_validate(values), cameras, "no driver", "secret")
        if "stream" in made.about:
            assert made.settings["input"].endswith("/stream.mjpg?token=secret")
        assert "secret" not in made.about
        return made.about, why

    stream = "the stream http://127.0.0.1:8765/stream.mjpg"
    assert feed([]) == (stream, "because there is no virtual camera")
    assert feed(["/dev/video9"])[1] == "the first there is"
    assert feed(["/dev/video9"], sinks=["file:a.mkv", "http"])[0] == stream
    assert "9000" in feed([], sinks=["http:9000"])[0]
    with pytest.raises(ObsError, match="no virtual camera: no driver"):
        feed([], sinks=["virtual-camera"])
    with pytest.raises(ObsError, match="another machine"):
        feed([], obs={"host": "10.0.0.7"})


def test_devices_of_other_platforms_are_looked_up_by_name() -> None:
    windows = device_feed("Unity Video Capture", "win32")
    assert (windows.kinds, windows.device_property) == (("dshow_input",), "video_device_id")
    assert device_feed("OBS Virtual Camera", "darwin").device_property == "device"


def test_device_that_obs_does_not_see_is_named_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from obs_stylizer.control.obs import setup

    with obs_server.running() as server:
        server.answers |= {
            "GetInputKindList": {"inputKinds": ["dshow_input"]},
            "GetInputList": {"inputs": []},
            "GetVideoSettings": {"baseWidth": 1920, "baseHeight": 1080},
            "CreateInput": {"sceneItemId": 3},
            "GetInputPropertiesListPropertyItems": {
                "propertyItems": [{"itemName": "HD Webcam", "itemValue": "HD Webcam:usb"}]
            },
        }
        settings = ObsSettings.model_validate(
            {"port": server.port, "password": obs_server.PASSWORD}
        )
        with visit(settings) as connection:
            plan = setup.make_plan(connection, device_feed("Unity Video Capture", "win32"))
            with pytest.raises(ObsError, match="does not see “Unity Video Capture”") as error:
                setup.carry_out(connection, plan)
            assert "HD Webcam" in error.value.remedy
            assert server.named("RemoveInput") == [{"inputName": INPUT_NAME}]
            setup.carry_out(connection, setup.make_plan(connection, device_feed("HD Web", "win32")))
            chosen = server.named("SetInputSettings")[-1]["inputSettings"]
            assert chosen == {"video_device_id": "HD Webcam:usb"}
            assert server.named("SetSceneItemTransform")[-1]["sceneItemId"] == 3
