"""How combinations are written, and which are refused in which words."""

from __future__ import annotations

import pytest

from obs_stylizer.control.hotkeys.combination import Combination
from obs_stylizer.control.hotkeys.keys import KEYS, OTHER_NAMES
from obs_stylizer.errors import UsageError


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("ctrl+alt+1", "ctrl+alt+1"),
        ("Alt+CTRL+1", "ctrl+alt+1"),
        (" control + option + 1 ", "ctrl+alt+1"),
        ("cmd+shift+p", "shift+super+p"),
        ("Win+F5", "super+f5"),
        ("f13", "f13"),
        ("shift+f24", "shift+f24"),
        ("num5", "num5"),
        ("ctrl+PgUp", "ctrl+pageup"),
        ("ctrl+Return", "ctrl+enter"),
        ("ctrl+-", "ctrl+minus"),
        ("ctrl+alt+;", "ctrl+alt+semicolon"),
        ("playpause", "playpause"),
        ("ctrl+shift+left", "ctrl+shift+left"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    combination = Combination.parse(text)
    assert str(combination) == normal
    assert Combination.parse(normal) == combination
    assert hash(Combination.parse(normal)) == hash(combination)


@pytest.mark.parametrize("name", [*KEYS, *OTHER_NAMES])
def test_every_key_can_be_named(name: str) -> None:
    if OTHER_NAMES.get(name, name) != "delete":
        Combination.parse(f"ctrl+alt+{name}")
    Combination.parse(f"super+{name}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no keys are named (write them as in ctrl+alt+1)"),
        ("ctrl+alt+", "“ctrl+alt+” has a + without a key"),
        ("ctrl++", "the plus of the number pad is numplus"),
        ("ctrl+alt", "“ctrl+alt” names no key beside modifiers"),
        ("ctrl+control+1", "names ctrl twice"),
        ("ctrl+1+2", "“ctrl+1+2” names two keys, 1 and 2"),
        ("ctrl+alt+rigth", "there is no key “rigth” (did you mean “right”?)"),
        ("contrl+a", "there is no key “contrl” (did you mean “control”?)"),
        ("ctrl+☂", "there is no key “☂” (keys are a to z"),
        ("f25", "there is no key “f25” (did you mean “f"),
        ("altgr+q", "altgr cannot be part of a hotkey (AltGr is Ctrl and Alt together"),
        ("ctrl+shift+1", "ctrl+shift+1: Shift with a digit is another key"),
        ("shift+5", "shift+5: Shift with a digit is another key"),
        ("shift+num5", "shift+num5: Shift with a digit"),
        ("a", "a: nothing could be written or edited with that key any more"),
        ("shift+a", "shift+a: nothing could be written"),
        ("left", "left: nothing could be written"),
        ("7", "(hold a key with it, as in ctrl+alt+7)"),
        ("ctrl+alt+delete", "ctrl+alt+delete belongs to the system"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Combination.parse(text)
    assert reason in str(caught.value)


def test_no_two_keys_have_one_code() -> None:
    for codes in (
        [key.keysym for key in KEYS.values()],
        [key.windows for key in KEYS.values() if key.windows is not None],
        [key.mac for key in KEYS.values() if key.mac is not None],
    ):
        assert len(set(codes)) == len(codes)
