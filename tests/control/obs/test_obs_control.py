"""The control surface between a scripted OBS and a real controller."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from obs_stylizer.control.commands import ApplyPreset, SetBypass, SetStrength
from obs_stylizer.control.event_bus import ControlEvent, EventKind
from obs_stylizer.control.obs.obs_control import ObsControl, obs_control
from obs_stylizer.realtime import requests
from obs_stylizer.settings import ObsSettings
from tests.fakes import obs_server
from tests.fakes.control_api import FakeControlApi
from tests.fakes.obs_server import PASSWORD, FakeObs, Wire


@contextmanager
def control_at(api: FakeControlApi, server: FakeObs, **values: Any) -> Iterator[ObsControl]:
    settings = ObsSettings.model_validate({"port": server.port, "password": PASSWORD, **values})
    made = obs_control(settings)(api)
    assert isinstance(made, ObsControl)
    made.start()
    try:
        until(lambda: made.state.connected and made.state.program)
        yield made
    finally:
        made.stop()
        made.stop()
        names = [thread.name for thread in threading.enumerate()]
        assert "obs" not in names
        assert "obs-link" not in names


def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.01)


def wire(server: FakeObs) -> Wire:
    return server.wires[-1]


def to_scene(server: FakeObs, name: str) -> None:
    wire(server).event("CurrentProgramSceneChanged", sceneName=name)


def custom(server: FakeObs) -> list[dict[str, Any]]:
    """What was sent to whoever listens to OBS."""
    sent = [data["eventData"]["obs_stylizer"] for data in server.named("BroadcastCustomEvent")]
    assert all("command" not in event for event in sent)
    return sent


@pytest.fixture
def server() -> Iterator[FakeObs]:
    with obs_server.running() as made:
        yield made


def test_scene_is_applied_on_connect_and_at_every_change(
    api: FakeControlApi, server: FakeObs
) -> None:
    scenes = {"A": "wave", "B": {"preset": "ink", "strength": 0.3, "crossfade_ms": 50}}
    with control_at(api, server, scenes=scenes):
        until(lambda: api.on_air.preset == "wave")
        assert api.on_air.strength == 0.8
        to_scene(server, "B")
        until(lambda: api.on_air.preset == "ink")
        assert api.on_air.strength == 0.3
        request = api.requests[-1]
        assert isinstance(request, requests.ShowPreset)
        assert request.crossfade_ms == 50
        to_scene(server, "C")
        to_scene(server, "A")
        until(lambda: api.on_air.preset == "wave")


def test_default_leave_and_strength_alone(api: FakeControlApi, server: FakeObs) -> None:
    scenes = {"A": "leave", "B": {"strength": 0.25}}
    with control_at(api, server, scenes=scenes, default="wave"):
        time.sleep(0.1)
        assert api.on_air.preset == "plain"
        to_scene(server, "B")
        until(lambda: api.on_air.strength == 0.25)
        assert api.on_air.preset == "plain"
        to_scene(server, "C")
        until(lambda: api.on_air.preset == "wave")


def test_preset_that_fails_is_told_and_changes_nothing(
    api: FakeControlApi, server: FakeObs, caplog: pytest.LogCaptureFixture
) -> None:
    api.broken.add("ink")
    with control_at(api, server, scenes={"A": "wafe", "B": "ink", "C": "wave"}) as control:
        until(lambda: "there is no preset “wafe”" in caplog.text)
        to_scene(server, "B")
        until(lambda: "OBS scene “B”: model is gone" in caplog.text)
        assert api.on_air.preset == "plain"
        to_scene(server, "C")
        until(lambda: api.on_air.preset == "wave")
        assert any("“wafe”" in hint for hint in control.state.hints)


def test_same_scene_after_a_reconnect_leaves_a_choice_as_it_is(
    api: FakeControlApi, server: FakeObs
) -> None:
    with control_at(api, server, scenes={"A": "wave", "B": "ink"}) as control:
        until(lambda: api.on_air.preset == "wave")
        api.send(ApplyPreset("plain")).result(5)
        wire(server).reset()
        until(lambda: len(server.wires) == 2 and control.state.connected)
        until(lambda: control.state.program)
        time.sleep(0.1)
        assert api.on_air.preset == "plain"
        server.answers["GetSceneList"]["currentProgramSceneName"] = "B"
        wire(server).reset()
        until(lambda: api.on_air.preset == "ink")


def test_preset_switches_a_scene_and_nothing_goes_in_circles(
    api: FakeControlApi, server: FakeObs
) -> None:
    def switch(sceneName: str) -> dict[str, Any]:  # noqa: N803
        to_scene(server, sceneName)
        return {}

    server.answers["SetCurrentProgramScene"] = switch
    crossed = {"scenes": {"A": "wave", "B": "ink"}, "presets": {"wave": "B", "ink": "A"}}
    with control_at(api, server, **crossed) as control:
        until(lambda: api.on_air.preset == "wave")
        api.send(ApplyPreset("plain")).result(5)
        api.send(ApplyPreset("ink")).result(5)
        time.sleep(0.3)
        # The scene on air is A already.
        assert (control.state.program, api.on_air.preset) == ("A", "ink")
        to_scene(server, "C")
        api.send(ApplyPreset("wave")).result(5)
        until(lambda: control.state.program == "B")
        time.sleep(0.3)
        assert (control.state.program, api.on_air.preset) == ("B", "wave")
        assert len(server.named("SetCurrentProgramScene")) == 1


def test_missing_scene_of_a_preset_is_told(
    api: FakeControlApi, server: FakeObs, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["SetCurrentProgramScene"] = "No source was found by the name of `Gone`."
    with control_at(api, server, presets={"wave": "Gone"}):
        api.send(ApplyPreset("wave")).result(5)
        until(lambda: "does not switch to the scene “Gone”" in caplog.text)
        assert "OBS has no scene “Gone”" in caplog.text


def test_command_by_custom_event_is_done_and_answered(api: FakeControlApi, server: FakeObs) -> None:
    def command(**message: Any) -> None:
        wire(server).event("CustomEvent", obs_stylizer=message)

    with control_at(api, server):
        command(command="preset", name="wave", id=17)
        until(lambda: any(event["event"] == "answer" for event in custom(server)))
        assert api.on_air.preset == "wave"
        answer = next(event for event in custom(server) if event["event"] == "answer")
        assert (answer["id"], answer["text"]) == (17, "preset wave")
        command(command="presto")
        until(lambda: any(event["event"] == "error" for event in custom(server)))
        command(command="preset", name="wafe", id="x")
        until(lambda: sum(event["event"] == "error" for event in custom(server)) == 2)
        errors = [event for event in custom(server) if event["event"] == "error"]
        assert errors[0]["message"] == "there is no command “presto”"
        assert "did you mean “wave”" in errors[1]["remedy"]
        assert errors[1]["id"] == "x"
        wire(server).event("CustomEvent", something="else")
        wire(server).event("CustomEvent", obs_stylizer=[1, 2])
        wire(server).event("CustomEvent", obs_stylizer={"event": "answer"})
        command(command="strength", strength=0.5)
        until(lambda: api.on_air.strength == 0.5)


def test_own_changes_are_published(api: FakeControlApi, server: FakeObs) -> None:
    with control_at(api, server):
        api.send(SetStrength(0.4)).result(5)
        until(lambda: any(event["event"] == "state" for event in custom(server)))
        state = next(event for event in reversed(custom(server)) if event["event"] == "state")
        assert (state["details"]["preset"], state["details"]["strength"]) == ("plain", 0.4)
        api.event_bus.publish(ControlEvent(EventKind.SOURCE_LOST, "the camera is unplugged"))
        until(lambda: custom(server)[-1]["event"] == "source-lost")
        assert custom(server)[-1]["text"] == "the camera is unplugged"
        before = len(custom(server))
        api.tell_statistics()
        time.sleep(0.1)
        assert len(custom(server)) == before


def test_text_input_shows_the_title(api: FakeControlApi, server: FakeObs) -> None:
    with control_at(api, server, text_input="Label"):

        def shown() -> str:
            data = server.named("SetInputSettings")
            return data[-1]["inputSettings"]["text"] if data else "nothing"

        until(lambda: shown() == "The plain")
        api.send(ApplyPreset("wave")).result(5)
        until(lambda: shown() == "The wave")
        api.send(SetBypass(True)).result(5)
        until(lambda: shown() == "")
        assert {data["inputName"] for data in server.named("SetInputSettings")} == {"Label"}


def test_renamed_and_deleted_scenes(
    api: FakeControlApi, server: FakeObs, caplog: pytest.LogCaptureFixture
) -> None:
    with control_at(api, server, scenes={"A": "wave", "B": "ink"}) as control:
        wire(server).event("SceneNameChanged", oldSceneName="B", sceneName="Bee")
        to_scene(server, "Bee")
        until(lambda: api.on_air.preset == "ink")
        assert "“B” is now called “Bee”" in caplog.text
        wire(server).event("SceneRemoved", sceneName="A", isGroup=False)
        wire(server).event("SceneRemoved", sceneName="C", isGroup=False)
        wire(server).event("SceneCreated", sceneName="New", isGroup=False)
        until(lambda: "New" in control.state.scenes)
        assert set(control.state.scenes) == {"Bee", "New"}
        assert caplog.text.count("was deleted") == 1


def test_preview_does_not_count(api: FakeControlApi, server: FakeObs) -> None:
    with control_at(api, server, scenes={"A": "wave", "B": "ink"}) as control:
        until(lambda: api.on_air.preset == "wave")
        wire(server).event("CurrentPreviewSceneChanged", sceneName="B")
        until(lambda: control.state.preview == "B")
        until(lambda: isinstance(api.requests[-1], requests.Warm))
        request = api.requests[-1]
        assert isinstance(request, requests.Warm)
        assert request.preset.name == "ink"
        assert api.on_air.preset == "wave"
        wire(server).event("StudioModeStateChanged", studioModeEnabled=False)
        until(lambda: control.state.preview == "")


def test_preview_is_not_warmed_if_not_wanted(api: FakeControlApi, server: FakeObs) -> None:
    with control_at(api, server, scenes={"B": "ink"}, warm_preview=False) as control:
        wire(server).event("CurrentPreviewSceneChanged", sceneName="B")
        until(lambda: control.state.preview == "B")
        time.sleep(0.1)
        assert not any(isinstance(request, requests.Warm) for request in api.requests)


def test_new_maps_are_followed_at_once(api: FakeControlApi, server: FakeObs) -> None:
    with control_at(api, server, scenes={"A": "wave"}) as control:
        until(lambda: api.on_air.preset == "wave")
        control.use(ObsSettings.model_validate({"scenes": {"A": "ink", "B": "wave"}}))
        until(lambda: api.on_air.preset == "ink")
        to_scene(server, "B")
        until(lambda: api.on_air.preset == "wave")
        assert control.settings.port == server.port


def test_nothing_is_asked_of_obs_while_it_changes_collections(
    api: FakeControlApi, server: FakeObs
) -> None:
    with control_at(api, server, text_input="Label", scenes={"Z": "ink"}) as control:
        wire(server).event("CurrentSceneCollectionChanging", sceneCollectionName="old")
        time.sleep(0.1)
        before = len(server.requests)
        api.send(ApplyPreset("wave")).result(5)
        time.sleep(0.2)
        assert len(server.requests) == before
        server.answers["GetSceneList"] = {
            "currentProgramSceneName": "Z",
            "currentPreviewSceneName": None,
            "scenes": [{"sceneName": "Z"}],
        }
        wire(server).event("CurrentSceneCollectionChanged", sceneCollectionName="new")
        until(lambda: api.on_air.preset == "ink")
        assert control.state.scenes == ("Z",)


def test_flood_of_scenes_ends_right_and_in_bounds(api: FakeControlApi, server: FakeObs) -> None:
    scenes = {"A": "wave", "B": "ink", "C": "plain"}
    with control_at(api, server, scenes=scenes) as control:
        for turn in range(3000):
            to_scene(server, "ABC"[turn % 3])
        wire(server).event("SceneCreated", sceneName="Last", isGroup=False)
        to_scene(server, "B")
        until(lambda: "Last" in control.state.scenes and control.state.program == "B", 20)
        until(lambda: api.on_air.preset == "ink")
        time.sleep(0.5)
        assert api.on_air.preset == "ink"


def test_sound_follows_the_statistics(api: FakeControlApi, server: FakeObs, tmp_path: Path) -> None:
    server.answers["GetInputAudioSyncOffset"] = {"inputAudioSyncOffset": 40}

    def offsets() -> list[int]:
        return [d["inputAudioSyncOffset"] for d in server.named("SetInputAudioSyncOffset")]

    with control_at(api, server, audio_inputs=["Mic"]):
        for picture, latency in (("standby", 500.0), ("styled", 90.0)):
            details = {"picture": picture, "recent_latency_ms": latency}
            for _ in range(6):
                api.event_bus.publish(ControlEvent(EventKind.STATISTICS, "", details))
        until(offsets)
        assert offsets() == [90]
    assert offsets() == [90, 40]


@pytest.mark.parametrize(
    "script",
    [
        obs_server.mute,
        obs_server.deaf,
        obs_server.http_503,
        obs_server.reset_after_welcome,
        obs_server.broken_json,
        obs_server.large_message,
    ],
)
def test_stops_beside_a_bad_obs_and_disturbs_nobody(
    script: obs_server.Script, api: FakeControlApi
) -> None:
    with obs_server.running(script) as server:
        settings = ObsSettings(port=server.port, password=PASSWORD, scenes={"A": "wave"})
        control = ObsControl(settings, api)
        control.start()
        until(lambda: server.wires)
        time.sleep(0.5)
        api.send(ApplyPreset("ink")).result(1)
        control.stop()
        assert not {"obs", "obs-link"} & {thread.name for thread in threading.enumerate()}
