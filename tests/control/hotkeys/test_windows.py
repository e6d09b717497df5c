"""The Windows keyboard against a stand-in for Windows; nothing here runs on the real one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from obs_stylizer.control.hotkeys import windows
from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keyboard import TAKEN
from obs_stylizer.control.hotkeys.windows import WindowsKeyboard
from obs_stylizer.control.hotkeys.windows_api import ALREADY_REGISTERED


class StandIn:
    """Windows as its documentation describes it: one owner for each combination, numbers by
    thread, no repeats, and messages that wait in a queue."""

    def __init__(self) -> None:
        self.registered: dict[int, tuple[int, int]] = {}
        self.others: set[tuple[int, int]] = set()
        self.down: set[int] = set()
        self.refuse = 0
        self._messages: queue.Queue[int | None] = queue.Queue()
        self._thread: int | None = None

    def begin(self) -> None:
        self._thread = threading.get_ident()

    def register(self, number: int, modifiers: int, key: int) -> int:
        assert self._thread == threading.get_ident()
        assert 0 < number <= 0xBFFF
        assert number not in self.registered
        if self.refuse:
            return self.refuse
        if (modifiers, key) in self.others or (modifiers, key) in self.registered.values():
            return ALREADY_REGISTERED
        self.registered[number] = modifiers, key
        return 0

    def unregister(self, number: int) -> None:
        assert self._thread == threading.get_ident()
        del self.registered[number]

    def wait(self, seconds: float) -> list[int]:
        try:
            first = self._messages.get(timeout=seconds)
        except queue.Empty:
            return []
        found = [first]
        while not self._messages.empty():
            found.append(self._messages.get())
        return [number for number in found if number is not None]

    def wake(self) -> None:
        self._messages.put(None)

    def is_down(self, key: int) -> bool:
        return key in self.down

    def press(self, modifiers: int, key: int) -> None:
        self.down.add(key)
        for number, combination in self.registered.items():
            if combination == (modifiers, key):
                self._messages.put(number)


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


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def listening(api: StandIn, *keys: str) -> Iterator[tuple[WindowsKeyboard, Ear]]:
    ear = Ear()
    keyboard = WindowsKeyboard(ear, lambda: api)
    keyboard.watch({Combination.parse(text) for text in keys})
    keyboard.start()
    until(lambda: ear.states)
    try:
        yield keyboard, ear
    finally:
        keyboard.stop()
    assert not api.registered


CTRL_ALT = 3


def test_press_and_release() -> None:
    api = StandIn()
    with listening(api, "ctrl+alt+1", "super+shift+left") as (_, ear):
        assert sorted(api.registered.values()) == [(3, 0x31), (12, 0x25)]
        api.press(CTRL_ALT, 0x31)
        until(lambda: ear.told == ["+ctrl+alt+1"])
        time.sleep(0.1)
        assert ear.told == ["+ctrl+alt+1"]
        api.down.clear()
        until(lambda: ear.told == ["+ctrl+alt+1", "-ctrl+alt+1"])
        api.press(12, 0x25)
        until(lambda: ear.told[2:] == ["+shift+super+left"])
    assert ear.told[3:] == ["-shift+super+left"]


def test_what_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_RETRY_SECONDS", 0.1)
    api = StandIn()
    api.others.add((CTRL_ALT, 0x31))
    with listening(api, "ctrl+alt+1", "ctrl+alt+2", "ctrl+numenter", "f12") as (_, ear):
        ((problems, trouble),) = ear.states
        assert not trouble
        assert problems == {
            "ctrl+alt+1": TAKEN,
            "ctrl+numenter": "Windows does not tell numenter from another key",
            "f12": "Windows keeps F12 alone for debuggers; hold a key with it",
        }
        api.press(CTRL_ALT, 0x32)
        until(lambda: ear.told == ["+ctrl+alt+2"])
        api.others.clear()
        until(lambda: len(ear.states) == 2)
        assert "ctrl+alt+1" not in ear.states[1][0]


def test_other_error_is_named() -> None:
    api = StandIn()
    api.refuse = 5
    with listening(api, "ctrl+alt+1") as (_, ear):
        assert ear.states == [({"ctrl+alt+1": "Windows refuses it (error 5)"}, "")]


def test_other_bindings_are_followed() -> None:
    api = StandIn()
    with listening(api, "ctrl+alt+1", "ctrl+alt+2") as (keyboard, ear):
        keyboard.watch({Combination.parse("ctrl+alt+2"), Combination.parse("ctrl+alt+3")})
        until(lambda: len(ear.states) == 2)
        assert sorted(api.registered.values()) == [(3, 0x32), (3, 0x33)]


def test_windows_that_fails_ends_the_keyboard_alone(log_errors: list[str]) -> None:
    class Broken(StandIn):
        def wait(self, seconds: float) -> list[int]:
            raise OSError("no")

    ear = Ear()
    keyboard = WindowsKeyboard(ear, Broken)
    keyboard.start()
    until(lambda: len(ear.states) == 2)
    assert ear.states[1] == ({}, "Windows answers in an unknown way: no")
    keyboard.stop()
    assert len(log_errors) == 1
    log_errors.clear()
