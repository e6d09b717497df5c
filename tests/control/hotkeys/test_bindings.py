"""What settings and presets ask for, and who goes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.control.commands import (
    ApplyPreset,
    NextPreset,
    SetBypass,
    SetFreeze,
    StepStrength,
)
from obs_stylizer.control.hotkeys.bindings import Action, Binding, gather
from obs_stylizer.errors import UsageError
from obs_stylizer.presets import PresetLibrary


def write(folder: Path, **hotkeys: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, hotkey in hotkeys.items():
        text = f"title: {name}\nhotkey: {hotkey!r}\n"
        (folder / f"{name.replace('_', ' ')}.yaml").write_text(text, "utf-8")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "bundled", tmp_path / "own"


def gathered(folders: tuple[Path, Path], **settings: str) -> dict[str, Binding]:
    library = PresetLibrary(folders, bundled=folders[0])
    bindings = gather({text.replace("_", " "): keys for text, keys in settings.items()}, library)
    return {binding.text: binding for binding in bindings}


def test_settings_and_presets(folders: tuple[Path, Path]) -> None:
    write(folders[0], ink="Ctrl+Alt+1", plain="")
    write(folders[1], my_wave="ctrl+alt+2")
    library = PresetLibrary(folders, bundled=folders[0])
    settings = {"next": "ctrl+alt+right", "strength +0.1": "ctrl+alt+up", "hold bypass": "f13"}
    bindings = gather(settings, library)
    assert [
        (w.keys, w.action.command, w.action.held, w.asked_by) for w in bindings if w.action
    ] == [
        ("ctrl+alt+right", NextPreset(), False, "your settings"),
        ("ctrl+alt+up", StepStrength(0.1), False, "your settings"),
        ("f13", SetBypass(True), True, "your settings"),
        ("ctrl+alt+1", ApplyPreset("ink"), False, "preset ink"),
        ("ctrl+alt+2", ApplyPreset("my wave"), False, "preset my wave"),
    ]
    assert all(not binding.problem for binding in bindings)
    assert bindings[-1].text == "preset 'my wave'"


def test_line_of_the_settings_stands_in_place_of_the_preset_s_own(
    folders: tuple[Path, Path],
) -> None:
    write(folders[0], ink="ctrl+alt+1", wave="ctrl+alt+2")
    bindings = gathered(folders, preset_ink="ctrl+alt+9", preset_wave="")
    assert [(binding.keys, binding.text) for binding in bindings.values()] == [
        ("ctrl+alt+9", "preset ink")
    ]


def test_what_cannot_be_is_refused_and_the_others_stay(folders: tuple[Path, Path]) -> None:
    write(folders[0], ink="ctrl+shift+1", wave="ctrl+alt+2")
    bindings = gathered(folders, nxt="ctrl+alt+n", next="ctrl+alt+foo", hold_next="f14")
    assert "did you mean “next”" in bindings["nxt"].problem
    assert "there is no key “foo”" in bindings["next"].problem
    assert "only bypass and freeze can be held" in bindings["hold next"].problem
    assert "Shift with a digit" in bindings["preset ink"].problem
    assert not bindings["preset wave"].problem


def test_same_keys_twice_are_refused_naming_both(folders: tuple[Path, Path]) -> None:
    write(folders[0], ink="ctrl+alt+1", wave="alt+ctrl+1")
    bindings = gathered(folders, next="ctrl+n", undo="control+N")
    assert "ctrl+n is also asked for by “undo” (your settings)" in bindings["next"].problem
    assert "ctrl+n is also asked for by “next” (your settings)" in bindings["undo"].problem
    assert "“preset wave” (preset wave)" in bindings["preset ink"].problem
    assert "“preset ink” (preset ink)" in bindings["preset wave"].problem


def test_user_s_own_goes_before_what_is_bundled(folders: tuple[Path, Path]) -> None:
    write(folders[0], ink="ctrl+alt+1", wave="ctrl+alt+2")
    write(folders[1], mine="ctrl+alt+2")
    bindings = gathered(folders, next="ctrl+alt+1")
    assert not bindings["next"].problem
    assert not bindings["preset mine"].problem
    assert bindings["preset ink"].problem == "ctrl+alt+1 does “next” (your settings) instead"
    assert "does “preset mine” (preset mine) instead" in bindings["preset wave"].problem


def test_command_with_a_problem_takes_no_keys_from_others(folders: tuple[Path, Path]) -> None:
    write(folders[0], ink="ctrl+alt+1")
    bindings = gathered(folders, dance="ctrl+alt+1")
    assert bindings["dance"].problem
    assert not bindings["preset ink"].problem


def test_held_commands() -> None:
    assert Action.parse("hold freeze").command == SetFreeze(True)
    assert Action.parse("hold bypass").words == "bypass"
    assert Action.parse("strength +0.1").words == "strength +0.1"
    for text in ("hold", "hold preset x", "hold bypass on"):
        with pytest.raises(UsageError, match="can be held"):
            Action.parse(text)
