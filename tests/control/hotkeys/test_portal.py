"""Hotkeys from a portal that does as it is told, on a bus of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keyboard import BIND_BY_HAND
from obs_stylizer.control.hotkeys.keys import KEYS
from obs_stylizer.control.hotkeys.portal import PortalKeyboard, trigger_of
from obs_stylizer.portal.identity import APP_ID, entry_path
from tests.fakes.portal import FakePortal

State = tuple[dict[str, str], str, dict[str, str]]


class Ear:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: queue.Queue[str] = queue.Queue()
        self.states: queue.Queue[State] = queue.Queue()

    def pressed(self, combination: Combination) -> None:
        self.told.put(f"pressed {combination}")

    def released(self, combination: Combination) -> None:
        self.told.put(f"released {combination}")

    def listening(
        self,
        problems: Mapping[Combination, str],
        trouble: str,
        triggers: Mapping[Combination, str] | None = None,
    ) -> None:
        by_name = {str(one): text for one, text in problems.items()}
        self.states.put((by_name, trouble, {str(k): v for k, v in (triggers or {}).items()}))

    def hears(self, *expected: str) -> None:
        assert [self.told.get(timeout=5) for _ in expected] == list(expected)

    def state_with(self, wanted: Callable[[State], object]) -> State:
        """Return the first state that is wanted; those before it are let go."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            state = self.states.get(timeout=10)
            if wanted(state):
                return state
        raise AssertionError("no such state")


def works(state: State) -> bool:
    return not state[1]


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert not any(thread.name == "hotkeys-portal" for thread in threading.enumerate())


@contextmanager
def listening(**wanted: str) -> Iterator[tuple[PortalKeyboard, Ear]]:
    ear = Ear()
    keyboard = PortalKeyboard(ear)
    keyboard.watch(combinations(**wanted))
    keyboard.start()
    try:
        yield keyboard, ear
    finally:
        keyboard.stop()


def combinations(**wanted: str) -> dict[Combination, str]:
    return {Combination.parse(keys.replace("_", "+")): text for keys, text in wanted.items()}


@pytest.mark.parametrize(
    ("keys", "trigger"),
    [
        ("ctrl+alt+1", "CTRL+ALT+1"),
        ("super+shift+left", "SHIFT+LOGO+Left"),
        ("ctrl+pageup", "CTRL+Page_Up"),
        ("f13", "F13"),
        ("num5", "KP_5"),
        ("ctrl+alt+n", "CTRL+ALT+n"),
        ("ctrl+alt+minus", "CTRL+ALT+minus"),
        ("ctrl+quote", "CTRL+apostrophe"),
        ("ctrl+space", "CTRL+space"),
        ("volumeup", "XF86AudioRaiseVolume"),
    ],
)
def test_combinations_as_the_portal_writes_them(keys: str, trigger: str) -> None:
    assert trigger_of(Combination.parse(keys)) == trigger


def test_every_key_has_the_name_that_x11_gives_it() -> None:
    XK = pytest.importorskip("Xlib.XK")  # noqa: N806
    XK.load_keysym_group("xf86")
    for key in KEYS.values():
        name = trigger_of(Combination(frozenset(), key))
        # python-xlib has an underscore where the portal has none.
        known = XK.string_to_keysym(name) or XK.string_to_keysym(name.replace("XF86", "XF86_"))
        assert known == key.keysym, name


def test_a_key_that_is_pressed(portal: FakePortal) -> None:
    with listening(ctrl_alt_1="preset ink", f13="hold bypass") as (_, ear):
        _, _, triggers = ear.state_with(works)
        assert triggers == {"ctrl+alt+1": "Press CTRL+ALT+1", "f13": "Press F13"}
        portal.press("preset-ink")
        ear.hears("pressed ctrl+alt+1")
        # A key that is held may be told again.
        portal.press("preset-ink")
        portal.press("preset-ink", down=False)
        portal.press("hold-bypass")
        ear.hears("released ctrl+alt+1", "pressed f13")
    shortcuts = next(body for name, body in portal.calls if name == "BindShortcuts")[1]
    assert shortcuts[0][1]["description"] == ("s", "preset ink")
    assert portal.app_id == APP_ID


def test_the_desktop_knows_who_asks(portal: FakePortal) -> None:
    portal.needs_app_id = True
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(works)
    text = entry_path().read_text()
    program = text.partition('Exec="')[2].partition('"')[0]
    assert Path(program).exists()
    # The name comes before everything else.
    assert portal.members()[0] == "Register"


def test_the_user_chose_other_keys(portal: FakePortal) -> None:
    portal.triggers = {"next": "Alt+F7", "previous": ""}
    with listening(ctrl_alt_1="next", ctrl_alt_2="previous") as (_, ear):
        problems, _, triggers = ear.state_with(works)
        assert triggers == {"ctrl+alt+1": "Alt+F7"}
        assert "has given it no keys" in problems["ctrl+alt+2"]


def test_a_success_that_is_told_as_a_failure(portal: FakePortal) -> None:
    portal.code, portal.results_on_failure = 2, True
    with listening(ctrl_alt_1="next") as (_, ear):
        assert ear.state_with(works)[2] == {"ctrl+alt+1": "Press CTRL+ALT+1"}


def test_a_real_failure(portal: FakePortal) -> None:
    portal.code = 2
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(lambda state: "code 2" in state[1])


def test_a_no_is_not_asked_again(portal: FakePortal) -> None:
    portal.code = 1
    with listening(ctrl_alt_1="next") as (keyboard, ear):
        ear.state_with(lambda state: "allowed no hotkeys" in state[1])
        keyboard.watch(combinations(ctrl_alt_2="next"))
        time.sleep(0.4)
        assert portal.members().count("BindShortcuts") == 1


def test_other_keys_are_a_new_session(portal: FakePortal) -> None:
    with listening(ctrl_alt_1="next") as (keyboard, ear):
        ear.state_with(works)
        keyboard.watch(combinations(ctrl_alt_2="previous"))
        ear.state_with(lambda state: "ctrl+alt+2" in state[2])
        assert portal.closed == [portal.sessions[0]]
        portal.press("previous")
        ear.hears("pressed ctrl+alt+2")


def test_no_keys_wanted_ask_nothing(portal: FakePortal) -> None:
    with listening() as (_, ear):
        assert ear.state_with(works) == ({}, "", {})
    assert "BindShortcuts" not in portal.members()


def test_a_dialog_that_is_open_when_it_ends(portal: FakePortal) -> None:
    portal.answers.clear()
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(lambda state: "asks you" in state[1])
    portal.answers.set()


def test_a_portal_that_ends_and_comes_back(portal: FakePortal) -> None:
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(works)
        portal.press("next")
        ear.hears("pressed ctrl+alt+1")
        portal.end()
        ear.hears("released ctrl+alt+1")
        ear.state_with(lambda state: "waiting for it" in state[1])
        time.sleep(0.7)
        assert all(BIND_BY_HAND not in state[1] for state in drained(ear))
        portal.start()
        ear.state_with(works)
        portal.press("next")
        ear.hears("pressed ctrl+alt+1")


def drained(ear: Ear) -> Iterator[State]:
    while not ear.states.empty():
        yield ear.states.get()


def test_a_desktop_without_it(portal: FakePortal) -> None:
    del portal.properties["GlobalShortcuts"]
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(lambda state: state[1] == BIND_BY_HAND)


def test_a_portal_that_comes_later(bus_address: str) -> None:
    portal = FakePortal()
    with listening(ctrl_alt_1="next") as (_, ear):
        ear.state_with(lambda state: state[1] == BIND_BY_HAND)
        portal.start()
        ear.state_with(works)
    portal.end()
