"""The control surface with a real OBS Studio."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from obs_stylizer.control.commands import ApplyPreset
from obs_stylizer.control.obs.connection import Connection, ObsEvent
from obs_stylizer.control.obs.obs_control import ObsControl
from obs_stylizer.settings import ObsSettings
from tests.fakes.control_api import FakeControlApi
from tests.fakes.real_obs import LABEL, SCENES, SOUND, RealObs

pytestmark = pytest.mark.obs

TALKING, GAMING, BREAK = SCENES


@contextmanager
def control_at(api: FakeControlApi, obs: RealObs, **values: Any) -> Iterator[ObsControl]:
    settings = ObsSettings.model_validate({"port": obs.port, "password": obs.password, **values})
    control = ObsControl(settings, api)
    control.start()
    try:
        until(lambda: control.state.program)
        yield control
    finally:
        control.stop()


class Hand:
    """What a person, or another program, does to OBS through a connection of its own."""

    def __init__(self, obs: RealObs) -> None:
        self.events: list[ObsEvent] = []
        self._connection = Connection("127.0.0.1", obs.port, obs.password, self.events.append)
        self._connection.connect()
        self._thread = threading.Thread(target=self._connection.receive)
        self._thread.start()

    def does(self, request: str, **data: Any) -> dict[str, Any]:
        return self._connection.ask(request, **data)

    def scene(self, name: str) -> None:
        self.does("SetCurrentProgramScene", sceneName=name)

    def told(self) -> list[dict[str, Any]]:
        return [e.data["obs_stylizer"] for e in self.events if "obs_stylizer" in e.data]

    def leaves(self) -> None:
        self._connection.leave()
        self._thread.join(5)


@pytest.fixture
def hand(obs: RealObs) -> Iterator[Hand]:
    made = Hand(obs)
    yield made
    made.leaves()


def until(condition: Callable[[], object], timeout: float = 15.0) -> None:
    end = time.perf_counter() + timeout
    while not condition():
        assert time.perf_counter() < end, "waited in vain"
        time.sleep(0.01)


def test_scenes_choose_presets(api: FakeControlApi, obs: RealObs, hand: Hand) -> None:
    scenes = {TALKING: "wave", GAMING: {"preset": "ink", "strength": 0.5}}
    with control_at(api, obs, scenes=scenes) as control:
        until(lambda: api.on_air.preset == "wave")
        assert control.state.scenes == SCENES
        assert control.state.version.startswith("2")
        hand.scene(GAMING)
        until(lambda: api.on_air.preset == "ink")
        assert api.on_air.strength == 0.5
        hand.scene(BREAK)
        until(lambda: control.state.program == BREAK)
        assert api.on_air.preset == "ink"


def test_only_the_program_counts_in_studio_mode(
    api: FakeControlApi, obs: RealObs, hand: Hand
) -> None:
    with control_at(api, obs, scenes={TALKING: "wave", GAMING: "ink"}) as control:
        until(lambda: api.on_air.preset == "wave")
        hand.does("SetStudioModeEnabled", studioModeEnabled=True)
        hand.does("SetCurrentPreviewScene", sceneName=GAMING)
        until(lambda: control.state.preview == GAMING)
        time.sleep(0.5)
        assert (control.state.program, api.on_air.preset) == (TALKING, "wave")
        hand.does("TriggerStudioModeTransition")
        until(lambda: api.on_air.preset == "ink")
        assert control.state.program == GAMING
        hand.does("SetStudioModeEnabled", studioModeEnabled=False)
        until(lambda: control.state.preview == "")


def test_preset_switches_scene_without_circles(
    api: FakeControlApi, obs: RealObs, hand: Hand
) -> None:
    crossed = {
        "scenes": {TALKING: "wave", GAMING: "ink"},
        "presets": {"wave": GAMING, "ink": TALKING},
    }
    with control_at(api, obs, **crossed) as control:
        until(lambda: api.on_air.preset == "wave")
        hand.scene(BREAK)
        until(lambda: control.state.program == BREAK)
        api.send(ApplyPreset("ink")).result(5)
        until(lambda: control.state.program == TALKING)
        time.sleep(1.0)
        assert (control.state.program, api.on_air.preset) == (TALKING, "ink")
        changes = [e for e in hand.events if e.name == "CurrentProgramSceneChanged"]
        assert len(changes) == 2


def test_custom_events_go_both_ways(api: FakeControlApi, obs: RealObs, hand: Hand) -> None:
    with control_at(api, obs):
        message = {"command": "preset", "name": "wave", "id": 5}
        hand.does("BroadcastCustomEvent", eventData={"obs_stylizer": message})
        until(lambda: any(told.get("event") == "answer" for told in hand.told()))
        answer = next(told for told in hand.told() if told.get("event") == "answer")
        assert (answer["id"], answer["text"]) == (5, "preset wave")
        until(lambda: any(told.get("event") == "state" for told in hand.told()))
        assert api.on_air.preset == "wave"


def test_label_shows_the_preset(api: FakeControlApi, obs: RealObs, hand: Hand) -> None:
    def label() -> str:
        found = hand.does("GetInputSettings", inputName=LABEL)
        return str(found["inputSettings"].get("text"))

    with control_at(api, obs, text_input=LABEL):
        until(lambda: label() == "The plain")
        api.send(ApplyPreset("ink")).result(5)
        until(lambda: label() == "The ink")


def test_sound_is_delayed_and_comes_back(
    api: FakeControlApi, obs: RealObs, hand: Hand, tmp_path: Path
) -> None:
    from obs_stylizer.control.event_bus import ControlEvent, EventKind

    def offset() -> int:
        found = hand.does("GetInputAudioSyncOffset", inputName=SOUND)
        return int(found["inputAudioSyncOffset"])

    before = offset()
    with control_at(api, obs, audio_inputs=[SOUND]):
        for _ in range(5):
            details = {"picture": "styled", "recent_latency_ms": 123.4}
            api.event_bus.publish(ControlEvent(EventKind.STATISTICS, "", details))
        until(lambda: offset() == 123)
    assert offset() == before == 40


@contextmanager
def daemon(config: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The whole program, as it is started by a user."""
    command = [sys.executable, "-m", "obs_stylizer", "run", "--config", str(config)]
    command += ["--source", "pattern", "--sink", "null", "--size", "256x144"]
    process = subprocess.Popen(
        [*command, "--preset", "plain", *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=30)
        print(shown.decode())


def test_old_offset_comes_back_after_a_crash_of_the_daemon(
    obs: RealObs, hand: Hand, tmp_path: Path
) -> None:
    def offset() -> int:
        found = hand.does("GetInputAudioSyncOffset", inputName=SOUND)
        return int(found["inputAudioSyncOffset"])

    config = tmp_path / "config.yaml"
    text = f"""
    web: {{enabled: false}}
    obs:
      port: {obs.port}
      password: {obs.password}
      scenes: {{{GAMING}: scream}}
      audio_inputs: [{SOUND}]
      audio_extra_ms: 300
    """
    config.write_text(textwrap.dedent(text), "utf-8")
    assert offset() == 40
    with daemon(config) as process:
        until(lambda: offset() > 300, 40)
        kill_with_children(process)
    assert offset() > 300
    hand.events.clear()
    with daemon(config):
        until(lambda: any(told.get("event") == "state" for told in hand.told()), 40)
        time.sleep(1)
        assert offset() > 300
    assert offset() == 40


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(process.pid)]
    family += family[0].children(recursive=True)
    for one in family:
        one.kill()
    process.wait(10)


def test_renamed_scene_is_followed(
    api: FakeControlApi, obs: RealObs, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    with control_at(api, obs, scenes={GAMING: "ink"}) as control:
        hand.does("SetSceneName", sceneName=GAMING, newSceneName="Play")
        until(lambda: "Play" in control.state.scenes)
        hand.scene("Play")
        until(lambda: api.on_air.preset == "ink")
        assert "is now called “Play”" in caplog.text
        hand.scene(TALKING)
        hand.does("RemoveScene", sceneName="Play")
        until(lambda: "was deleted" in caplog.text)


def test_other_collection_of_scenes(api: FakeControlApi, obs: RealObs, hand: Hand) -> None:
    with control_at(api, obs, scenes={TALKING: "wave"}, default="ink") as control:
        until(lambda: api.on_air.preset == "wave")
        hand.does("CreateSceneCollection", sceneCollectionName="Other")
        until(lambda: TALKING not in control.state.scenes)
        until(lambda: api.on_air.preset == "ink")
        hand.does("SetCurrentSceneCollection", sceneCollectionName="Test")
        until(lambda: api.on_air.preset == "wave")
        assert set(control.state.scenes) == set(SCENES)


def test_wrong_password_is_said_and_the_right_one_works_later(
    api: FakeControlApi, obs: RealObs, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ObsSettings(port=obs.port, password="not-this-one", enabled=True)
    control = ObsControl(settings, api)
    control.start()
    try:
        until(lambda: "refuses the password" in control.state.trouble)
        assert caplog.text.count("refuses the password") == 1
        assert "not-this-one" not in caplog.text
        obs.end()
        obs.password = "not-this-one"
        obs.configure()
        obs.start()
        until(lambda: control.state.connected, 5.0)
    finally:
        control.stop()


def test_obs_killed_ten_times_is_found_again_and_nothing_is_left(
    api: FakeControlApi, obs: RealObs
) -> None:
    process = psutil.Process()
    with control_at(api, obs, scenes={TALKING: "wave"}) as control:
        threads, files = threading.active_count(), process.num_fds()
        times = []
        for turn in range(10):
            # Now and then it ends as it should.
            if turn % 3 == 2:
                obs.end()
            else:
                obs.kill()
            until(lambda: not control.state.connected)
            obs.start()
            began = time.perf_counter()
            until(lambda: control.state.connected and control.state.program)
            times.append(time.perf_counter() - began)
        assert max(times) <= 5, times
        assert threading.active_count() == threads
        assert process.num_fds() == files
        assert len([c for c in process.net_connections() if c.raddr]) == 1
        print("back after", [round(seconds, 2) for seconds in times])
