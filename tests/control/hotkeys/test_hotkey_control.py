"""Keys become commands: with a keyboard played by hand, and once with a real X server."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from obs_stylizer.control.commands import Reload, SetBypass
from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.hotkey_control import Hotkeys, hotkey_control
from obs_stylizer.control.hotkeys.keyboard import BIND_BY_HAND, TAKEN, Listener
from obs_stylizer.control.hotkeys.keyboard_choice import NoKeyboard, keyboard_of_this_system
from obs_stylizer.control.hotkeys.report import (
    HotkeyState,
    Report,
    read_reports,
    write_report,
)
from tests.fakes.control_api import FakeControlApi
from tests.fakes.display import Display
from tests.fakes.portal import FakePortal


class PlayedKeyboard:
    """Tells what the test plays; ``taken`` are combinations that it cannot have."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.watched: list[str] = []
        self.taken: set[str] = set()
        self.started = self.stopped = False

    def start(self) -> None:
        self.started = True

    def watch(self, combinations: Collection[Combination]) -> None:
        self.watched = sorted(map(str, combinations))
        self.tell()

    def tell(self, trouble: str = "") -> None:
        problems = {Combination.parse(keys): TAKEN for keys in self.taken & set(self.watched)}
        self.listener.listening(problems, trouble)

    def press(self, keys: str) -> None:
        self.listener.pressed(Combination.parse(keys))

    def release(self, keys: str) -> None:
        self.listener.released(Combination.parse(keys))

    def tap(self, keys: str) -> None:
        self.press(keys)
        self.release(keys)

    def stop(self) -> None:
        self.stopped = True


class Scene:
    """A control API, the control surface that uses it, and its keyboard."""

    def __init__(self, api: FakeControlApi, hotkeys: Hotkeys, keyboard: PlayedKeyboard) -> None:
        self.api = api
        self.hotkeys = hotkeys
        self.keyboard = keyboard

    def report(self) -> Report:
        return own_reports(self.api.folder)[0]

    def works(self) -> dict[str, str]:
        return {state.text: state.problem for state in self.report().hotkeys}


def own_reports(folder: Path) -> list[Report]:
    return [report for report in read_reports(folder / "run") if report.pid == os.getpid()]


def until(condition: Callable[[], object], timeout: float = 5) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def scene(
    folder: Path, settings: Mapping[str, str], taken: Collection[str] = ()
) -> Iterator[Scene]:
    keyboards: list[PlayedKeyboard] = []

    def make(listener: Listener) -> PlayedKeyboard:
        keyboards.append(PlayedKeyboard(listener))
        keyboards[0].taken |= set(taken)
        return keyboards[0]

    with FakeControlApi(folder, "plain") as api:
        hotkeys = Hotkeys(api, settings, make, folder / "run")
        hotkeys.start()
        until(lambda: own_reports(folder))
        yield Scene(api, hotkeys, keyboards[0])
        hotkeys.stop()
        hotkeys.stop()
        assert keyboards[0].started
        assert keyboards[0].stopped
        assert own_reports(folder) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, hotkey in (("ink", "ctrl+alt+1"), ("plain", ""), ("wave", "ctrl+alt+2")):
        text = f"title: {name}\nstrength: 0.8\nhotkey: {hotkey!r}\n"
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path


def test_keys_of_presets_and_settings(folder: Path) -> None:
    with scene(folder, {"strength +0.1": "ctrl+alt+up", "next": "f13"}) as on:
        assert on.keyboard.watched == ["ctrl+alt+1", "ctrl+alt+2", "ctrl+alt+up", "f13"]
        on.keyboard.tap("ctrl+alt+2")
        until(lambda: on.api.on_air.preset == "wave")
        on.keyboard.tap("ctrl+alt+up")
        until(lambda: on.api.on_air.strength == pytest.approx(0.9))
        on.keyboard.tap("f13")
        until(lambda: on.api.on_air.preset == "ink")


def test_repeated_press_fires_once(folder: Path) -> None:
    with scene(folder, {"bypass": "f13"}) as on:
        for _ in range(3):
            on.keyboard.press("f13")
        until(lambda: on.api.on_air.bypass)
        on.keyboard.release("f13")
        on.keyboard.press("f13")
        until(lambda: not on.api.on_air.bypass)


def test_hold_gives_back_what_was_before(folder: Path) -> None:
    with scene(folder, {"hold bypass": "f13", "hold freeze": "f14"}) as on:
        for before in (False, True):
            on.api.send(SetBypass(before)).result(5)
            on.keyboard.press("f13")
            on.keyboard.press("f14")
            until(lambda: on.api.on_air.bypass and on.api.on_air.freeze)
            on.keyboard.release("f13")
            on.keyboard.release("f14")
            until(lambda: not on.api.on_air.freeze)
            assert on.api.on_air.bypass is before


def test_hold_pressed_again_at_once(folder: Path) -> None:
    with scene(folder, {"hold bypass": "f13"}) as on:
        for _ in range(200):
            on.keyboard.tap("f13")
        on.keyboard.press("f13")
        until(lambda: on.api.on_air.bypass)
        on.keyboard.release("f13")
        until(lambda: not on.api.on_air.bypass)


def test_presets_are_followed_while_on_air(folder: Path) -> None:
    with scene(folder, {}) as on:
        for name, hotkey in (("ink", "ctrl+alt+2"), ("wave", "ctrl+alt+1")):
            (folder / f"{name}.yaml").write_text(f"title: {name}\nhotkey: {hotkey}\n", "utf-8")
        on.api.send(Reload()).result(5)
        until(lambda: on.works() == {"preset ink": "", "preset wave": ""})
        until(lambda: on.report().hotkeys[0].keys == "ctrl+alt+2")
        on.keyboard.tap("ctrl+alt+2")
        until(lambda: on.api.on_air.preset == "ink")
        (folder / "plain.yaml").write_text("title: Plain\nhotkey: ctrl+alt+0\n", "utf-8")
        (folder / "wave.yaml").unlink()
        on.api.send(Reload()).result(5)
        until(lambda: on.keyboard.watched == ["ctrl+alt+0", "ctrl+alt+2"])
        on.keyboard.tap("ctrl+alt+0")
        until(lambda: on.api.on_air.preset == "plain")


def test_refused_ones_are_named_and_the_others_work(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings = {"next": "ctrl+shift+5", "undo": "ctrl+alt+1", "freeze": "f15", "record": "f15"}
    with scene(folder, settings, taken={"ctrl+alt+2"}) as on:
        until(lambda: on.works().get("preset wave") == TAKEN)
        assert "Shift with a digit" in on.works()["next"]
        assert "“record” (your settings)" in on.works()["freeze"]
        assert "“freeze” (your settings)" in on.works()["record"]
        # The presets here are the user's own, so none goes before the other.
        assert "also asked for by “preset ink”" in on.works()["undo"]
        warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert f"hotkey ctrl+alt+2 (preset wave): {TAKEN}" in warned
        assert len(warned) == 6
        on.keyboard.taken.clear()
        on.keyboard.tell()
        until(lambda: on.works()["preset wave"] == "")
        until(lambda: caplog.messages[-1] == "hotkeys: ctrl+alt+2 preset wave")
        on.keyboard.tell()
        on.keyboard.tap("ctrl+alt+2")
        until(lambda: on.api.on_air.preset == "wave")
        told = [record.message for record in caplog.records if "hotkey" in record.name]
        assert len(told) == len(set(told))


def test_command_that_fails_is_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with scene(folder, {"preset gone": "f13"}) as on:
        on.api.broken.add("ink")
        on.keyboard.tap("f13")
        on.keyboard.tap("ctrl+alt+1")
        until(lambda: "ctrl+alt+1 (preset ink): model is gone (fetch it)" in caplog.text)
        assert "hotkey f13 (preset gone): there is no preset “gone”" in caplog.text
        assert on.api.on_air.preset == "plain"


def test_lost_keyboard_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with scene(folder, {}) as on:
        until(lambda: "hotkeys: ctrl+alt+1 preset ink, ctrl+alt+2 preset wave" in caplog.text)
        caplog.clear()
        for _ in range(2):
            on.keyboard.tell("the keyboard is away")
        until(lambda: on.report().trouble)
        assert set(on.works().values()) == {"the keyboard is away"}
        on.keyboard.tell()
        until(lambda: not on.report().trouble)
        until(lambda: len(caplog.messages) >= 2)
        assert caplog.messages == [
            "hotkeys: the keyboard is away",
            "hotkeys: ctrl+alt+1 preset ink, ctrl+alt+2 preset wave",
        ]


def test_wayland_tells_what_to_bind(
    folder: Path, caplog: pytest.LogCaptureFixture, portal: FakePortal
) -> None:
    caplog.set_level(logging.INFO)
    del portal.properties["GlobalShortcuts"]
    with FakeControlApi(folder, "plain") as api:
        control = Hotkeys(
            api,
            {"hold bypass": "f13"},
            lambda listener: keyboard_of_this_system(listener, {"WAYLAND_DISPLAY": "wayland-0"}),
            folder / "run",
        )
        control.start()
        until(lambda: BIND_BY_HAND in caplog.text)
        api.send(Reload()).result(5)
        control.stop()
    told = [record.message for record in caplog.records if "hotkeys:" in record.message]
    assert len(told) == 1
    assert "ctrl+alt+1:  obs-stylizer ctl preset ink" in told[0]
    assert "f13:  obs-stylizer ctl bypass" in told[0]


@pytest.mark.skipif(os.name != "posix", reason="of systems with X11")
def test_no_desktop_is_no_error(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with FakeControlApi(folder, "plain") as api:
        control = hotkey_control({}, lambda one: keyboard_of_this_system(one, {}))(api)
        control.start()
        until(lambda: "there is no desktop to listen on" in caplog.text)
        control.stop()
        assert isinstance(keyboard_of_this_system(control, {}), NoKeyboard)  # type: ignore[arg-type]
    assert all(record.levelname == "INFO" for record in caplog.records if "hotk" in record.name)


def test_reports_of_ended_processes_go(tmp_path: Path) -> None:
    write_report(tmp_path, "", (HotkeyState("f13", "next", "your settings"),))
    (mine,) = read_reports(tmp_path)
    assert mine.pid == os.getpid()
    ended = subprocess.Popen(["true"])
    ended.wait()
    text = next(tmp_path.glob("*.json")).read_text("utf-8")
    (tmp_path / "hotkeys-1.json").write_text(text.replace(str(mine.pid), str(ended.pid)), "utf-8")
    (tmp_path / "hotkeys-2.json").write_text("{", "utf-8")
    (tmp_path / "hotkeys-3.json").write_text('{"pid": 1}', "utf-8")
    assert read_reports(tmp_path) == [mine]
    assert len(list(tmp_path.iterdir())) == 1


def test_other_daemon_that_has_the_keys_is_named(folder: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        write_report(folder / "run", "", (HotkeyState("ctrl+alt+1", "next", "your settings"),))
        (mine,) = (folder / "run").iterdir()
        text = mine.read_text("utf-8").replace(f'"pid": {os.getpid()}', f'"pid": {other.pid}')
        mine.rename(mine.with_name(f"hotkeys-{other.pid}.json")).write_text(text, "utf-8")
        taken = {"ctrl+alt+1", "ctrl+alt+2"}
        with scene(folder, {}, taken=taken) as on:
            problems = {state.keys: state.problem for state in on.report().hotkeys}
            assert problems == {
                "ctrl+alt+1": f"obs-stylizer, process {other.pid}, has taken it",
                "ctrl+alt+2": TAKEN,
            }
    finally:
        other.kill()
        other.wait()


@pytest.mark.screen
def test_two_daemons_and_a_real_keyboard(folder: Path, x_display: Display) -> None:
    if shutil.which("xdotool") is None:
        pytest.skip("xdotool is not installed (apt install xdotool)")
    pytest.importorskip("Xlib")
    with FakeControlApi(folder, "plain") as api:
        first = Hotkeys(api, {"next": "ctrl+n"}, keyboard_of_this_system, folder / "run")
        second = Hotkeys(api, {}, keyboard_of_this_system, folder / "run2")
        first.start()
        until(lambda: read_reports(folder / "run"))
        assert [state.problem for state in read_reports(folder / "run")[0].hotkeys] == [""] * 3
        second.start()
        until(lambda: read_reports(folder / "run2"))
        assert {state.problem for state in read_reports(folder / "run2")[0].hotkeys} == {TAKEN}
        second.stop()
        subprocess.run(["xdotool", "key", "ctrl+alt+2"], check=True)
        until(lambda: api.on_air.preset == "wave")
        subprocess.run(["xdotool", "key", "ctrl+n"], check=True)
        until(lambda: api.on_air.preset == "ink")
        first.stop()
