"""What becomes of filters in a real OBS whose script is loaded anew, broken or removed; stress."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from obs_stylizer.errors import ObsError
from obs_stylizer.obs_filter.listing import list_filters
from tests.fakes import display, real_obs
from tests.fakes.real_obs import SCENES
from tests.installer.filter_in_obs import (
    KIND,
    SCRIPT,
    Obs,
    daemon,
    noise,
    obs_with_filter,
    write_presets,
)

pytestmark = pytest.mark.obs

# Where OBS 29 has them, on a screen of 1280x800.
TOOLS_SCRIPTS = (388, 147)
RELOAD = (365, 523)


@pytest.fixture
def screen() -> Iterator[display.Display]:
    absent = real_obs.missing()
    if absent:
        pytest.skip(f"{absent} not installed (apt install obs-studio xvfb)")
    with display.start(1280, 800) as started:
        yield started


class ScriptsWindow:
    """Somebody at OBS's window *Tools, Scripts*."""

    def __init__(self, screen: display.Display) -> None:
        self._environment = {**os.environ, "DISPLAY": screen.name}
        self.key("alt+t")
        self.click(TOOLS_SCRIPTS)

    def click(self, place: tuple[int, int]) -> None:
        x, y = map(str, place)
        self._do("mousemove", x, y, "click", "1")

    def key(self, name: str) -> None:
        self._do("key", name)

    def _do(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True)
        time.sleep(1.0)


@pytest.mark.skipif(shutil.which("xdotool") is None, reason="needs xdotool")
def test_no_source_goes_black_with_its_script(screen: display.Display, tmp_path: Path) -> None:
    script = tmp_path / SCRIPT.name
    shutil.copy(SCRIPT, script)
    good = script.read_text("utf-8")
    with obs_with_filter(screen, tmp_path / "home", script=script, may_fail=True) as obs:

        def enabled(source: str) -> list[bool]:
            filters = obs.ask("GetSourceFilterList", sourceName=source)["filters"]
            return [one["filterEnabled"] for one in filters]

        plain = noise(1)
        obs.show("Picture", plain)
        colour = {"inputKind": "color_source_v3", "inputSettings": {"color": 0xFF0000FF}}
        obs.ask("CreateInput", sceneName=SCENES[1], inputName="Red", **colour)
        scene = {"sourceName": SCENES[1], "filterName": "whole", "filterKind": KIND}
        obs.ask("CreateSourceFilter", **scene, filterSettings={})
        window = ScriptsWindow(screen)
        window.click(RELOAD)
        assert np.array_equal(obs.shot("Picture"), plain)
        assert enabled("Picture") == enabled(SCENES[1]) == [True]
        # What somebody else switched off stays off.
        switched = {"sourceName": "Picture", "filterName": "style"}
        obs.ask("SetSourceFilterEnabled", **switched, filterEnabled=False)
        window.click(RELOAD)
        assert (enabled("Picture"), enabled(SCENES[1])) == ([False], [True])
        obs.ask("SetSourceFilterEnabled", **switched, filterEnabled=True)
        script.write_text(good + "\nthis is no lua (\n", "utf-8")
        window.click(RELOAD)
        assert np.array_equal(obs.shot("Picture"), plain)
        assert obs.shot(SCENES[1])[..., :3].any()
        assert enabled("Picture") == enabled(SCENES[1]) == [False]
        script.write_text(good, "utf-8")
        obs.start_again()
        assert enabled("Picture") == enabled(SCENES[1]) == [True]


def test_one_filter_around_another_is_switched_off(screen: display.Display, tmp_path: Path) -> None:
    with obs_with_filter(screen, tmp_path / "home") as obs:
        obs.show("Picture", noise(1))
        scene = {"sourceName": SCENES[0], "filterName": "around"}
        obs.ask("CreateSourceFilter", **scene, filterKind=KIND, filterSettings={})

        def is_off() -> bool:
            return not obs.ask("GetSourceFilter", **scene)["filterEnabled"]

        obs.until(is_off)
        assert "around: Switched off: “Picture” within has this filter too" in obs.real.log()
        # Several on one source are none around another.
        second = {"sourceName": "Picture", "filterName": "second"}
        obs.ask("CreateSourceFilter", **second, filterKind=KIND, filterSettings={})
        time.sleep(0.5)
        for name in ("style", "second"):
            one = obs.ask("GetSourceFilter", sourceName="Picture", filterName=name)
            assert one["filterEnabled"]
        # Once there is none within, the outer one works.
        for name in ("style", "second"):
            obs.ask("RemoveSourceFilter", sourceName="Picture", filterName=name)
        obs.ask("SetSourceFilterEnabled", **scene, filterEnabled=True)
        time.sleep(0.5)
        assert not is_off()


@pytest.mark.slow
def test_filters_come_and_go_while_everything_is_drawn(
    screen: display.Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``STRESS_SECONDS`` long, by four threads at once: add, remove, resize, switch, photograph."""
    seconds = float(os.environ.get("STRESS_SECONDS", "20"))
    write_presets(tmp_path)
    with obs_with_filter(screen, tmp_path / "home") as obs, daemon(obs, tmp_path):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(obs.run_folder))
        for number in range(3):
            obs.show(f"S{number}", noise(number, (160, 90)))
        for source, name in (("S2", "second"), (SCENES[0], "around")):
            one = {"sourceName": source, "filterName": name, "filterKind": KIND}
            obs.ask("CreateSourceFilter", **one, filterSettings={})
        obs.ask("CreateSceneCollection", sceneCollectionName="Other")
        obs.ask("SetCurrentSceneCollection", sceneCollectionName="Test")
        time.sleep(3)
        stress = Stress(obs, time.monotonic() + seconds)
        stress.run()
        counts = stress.counts
        print(counts, obs.ask("GetStats"), "refused", stress.refused)
        assert not stress.dead, (stress.dead, counts)
        assert counts["add"] > 10
        # A filter that stayed is still there, and drawn.
        obs.ask("SetCurrentSceneCollection", sceneCollectionName="Test")
        obs.ask("SetCurrentProgramScene", sceneName=SCENES[0])
        until = time.monotonic() + 10
        while not any(info.is_seen for info in list_filters()):
            assert time.monotonic() < until


class Stress:
    """Threads with connections of their own that do things to OBS until the time is over."""

    def __init__(self, obs: Obs, end: float) -> None:
        self.counts = dict.fromkeys(("add", "shot", "scene", "settings", "collection"), 0)
        self.refused = 0
        self.dead: list[str] = []
        self._obs = obs
        self._end = end

    def run(self) -> None:
        does: dict[str, Callable[[Obs], None]] = {
            "add": self._add,
            "shot": self._shot,
            "scene": self._scene,
            "settings": self._settings,
            "collection": self._collection,
        }
        threads = [
            threading.Thread(target=self._loop, args=item, daemon=True) for item in does.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self._end - time.monotonic()) + 30)
            if thread.is_alive():
                self.dead.append(f"a thread hangs: {self.counts}")

    def _loop(self, name: str, do: Callable[[Obs], None]) -> None:
        hand = Obs(self._obs.real)
        try:
            while time.monotonic() < self._end and not self.dead:
                try:
                    do(hand)
                    self.counts[name] += 1
                except ObsError as error:
                    if not error.code:
                        self.dead.append(f"{name}: {error}")
                    self.refused += 1
                    time.sleep(0.1)
        except Exception as error:
            self.dead.append(f"{name}: {error!r}")
        hand.leave()

    def _add(self, hand: Obs) -> None:
        one: dict[str, Any] = {"sourceName": f"S{random.randrange(2)}", "filterName": "x"}
        hand.ask("CreateSourceFilter", **one, filterKind=KIND, filterSettings={})
        time.sleep(random.random() * 0.05)
        hand.ask("RemoveSourceFilter", **one)

    def _shot(self, hand: Obs) -> None:
        name = random.choice(["S0", "S1", "S2", SCENES[0]])
        size = {"imageWidth": 64, "imageHeight": 36}
        hand.ask("GetSourceScreenshot", sourceName=name, imageFormat="jpg", **size)

    def _scene(self, hand: Obs) -> None:
        hand.ask("SetCurrentProgramScene", sceneName=random.choice([SCENES[0], *SCENES]))
        time.sleep(0.1)

    def _settings(self, hand: Obs) -> None:
        number = random.randrange(3)
        path = self._obs.real.home / f"S{random.randrange(3)}.png"
        settings = {"file": str(path), "unload": random.random() < 0.1}
        hand.ask("SetInputSettings", inputName=f"S{number}", inputSettings=settings)
        time.sleep(0.02)

    def _collection(self, hand: Obs) -> None:
        """Another scene collection and back, now and then; meanwhile the others are refused."""
        time.sleep(8)
        for name in ("Other", "Test"):
            hand.ask("SetCurrentSceneCollection", sceneCollectionName=name)
            time.sleep(1.0)
