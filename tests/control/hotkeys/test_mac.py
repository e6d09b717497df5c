"""The Mac keyboard against a stand-in for pynput; nothing here runs on a Mac."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.mac import NOT_ALLOWED, MacKeyboard


@dataclass(frozen=True)
class KeyCode:
    vk: int | None
    char: str | None = None


class Key(enum.Enum):
    """As pynput names them; play and Y have the same number there."""

    ctrl = KeyCode(0x3B)
    ctrl_r = KeyCode(0x3E)
    alt = KeyCode(0x3A)
    cmd = KeyCode(0x37)
    f13 = KeyCode(0x69)
    media_play_pause = KeyCode(16)


class StandIn:
    IS_TRUSTED = True

    def __init__(self, on_press: Callable[[Any], None], on_release: Callable[[Any], None]) -> None:
        self.on_press, self.on_release = on_press, on_release
        self.stopped = False

    def start(self) -> None:
        pass

    def wait(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True

    def join(self, timeout: float | None = None) -> None:
        pass


class Ear:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.states: list[tuple[dict[str, str], str]] = []

    def pressed(self, combination: Combination) -> None:
        self.told.append(f"+{combination}")

    def released(self, combination: Combination) -> None:
        self.told.append(f"-{combination}")

    def listening(self, problems: Mapping[Combination, str], trouble: str) -> None:
        self.states.append(({str(one): why for one, why in problems.items()}, trouble))


def started(make: Any, *keys: str) -> tuple[MacKeyboard, Ear, list[StandIn]]:
    ear = Ear()
    made: list[StandIn] = []

    def remembered(on_press: Callable[[Any], None], on_release: Callable[[Any], None]) -> StandIn:
        made.append(make(on_press, on_release))
        return made[0]

    keyboard = MacKeyboard(ear, remembered)
    keyboard.watch({Combination.parse(text) for text in keys})
    assert not ear.states
    keyboard.start()
    end = time.monotonic() + 5
    while not ear.states and time.monotonic() < end:
        time.sleep(0.005)
    return keyboard, ear, made


def test_press_repeat_and_release() -> None:
    keyboard, ear, (pynput,) = started(StandIn, "ctrl+alt+1", "f13", "cmd+y", "playpause")
    assert ear.states == [({}, "")]
    # With Alt held, 1 writes something else.
    one = KeyCode(0x12, "¡")
    for key in (Key.ctrl, Key.alt, one, one, one):
        pynput.on_press(key)
    pynput.on_release(Key.ctrl)
    pynput.on_release(one)
    pynput.on_release(Key.alt)
    assert ear.told == ["+ctrl+alt+1", "-ctrl+alt+1"]
    ear.told.clear()
    pynput.on_press(one)
    pynput.on_release(one)
    pynput.on_press(None)
    pynput.on_press(KeyCode(None, "x"))
    assert not ear.told
    pynput.on_press(Key.f13)
    pynput.on_press(Key.media_play_pause)
    pynput.on_release(Key.media_play_pause)
    assert ear.told == ["+f13", "+playpause", "-playpause"]
    keyboard.stop()
    assert ear.told[-1] == "-f13"
    assert pynput.stopped


def test_both_modifiers_of_a_kind() -> None:
    keyboard, ear, (pynput,) = started(StandIn, "ctrl+alt+1")
    for key in (Key.ctrl, Key.ctrl_r, Key.alt, KeyCode(0x12)):
        pynput.on_press(key)
    assert ear.told == ["+ctrl+alt+1"]
    # The release of one of both comes as another press of it.
    pynput.on_press(Key.ctrl)
    pynput.on_release(KeyCode(0x12))
    pynput.on_release(Key.ctrl_r)
    pynput.on_press(KeyCode(0x12))
    assert ear.told == ["+ctrl+alt+1", "-ctrl+alt+1"]
    keyboard.stop()


def test_keys_that_a_mac_has_not() -> None:
    keyboard, ear, _ = started(StandIn, "scrolllock", "f24", "ctrl+alt+1")
    assert ear.states == [
        ({"scrolllock": "a Mac has no key scrolllock", "f24": "a Mac has no key f24"}, "")
    ]
    keyboard.watch({Combination.parse("ctrl+alt+1")})
    assert ear.states[-1] == ({}, "")
    keyboard.stop()


def test_not_allowed_by_the_system() -> None:
    class Untrusted(StandIn):
        IS_TRUSTED = False

    keyboard, ear, _ = started(Untrusted, "ctrl+alt+1")
    assert ear.states == [({}, NOT_ALLOWED)]
    keyboard.stop()


def test_pynput_that_does_not_start() -> None:
    def broken(*_: object) -> StandIn:
        raise ImportError("no Quartz")

    keyboard, ear, _ = started(broken, "ctrl+alt+1")
    assert ear.states == [({}, "pynput does not work here: no Quartz")]
    keyboard.stop()
