"""What can be taken back, and that a slider that is dragged counts once."""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.control.preset_effects import PresetChoice
from obs_stylizer.control.undo_history import REMEMBERED, UndoHistory
from obs_stylizer.presets import NamedPreset, Preset


def choice(strength: float) -> PresetChoice:
    named = NamedPreset("wave", Preset(title="Wave"), Path("wave.yaml"), bundled=False)
    return PresetChoice(named, strength)


def taken(history: UndoHistory) -> list[float | None]:
    found = []
    while (past := history.take()) is not None:
        found.append(past.strength)
    return found


def test_the_newest_comes_first_and_few_are_kept() -> None:
    history = UndoHistory()
    history.remember(None)
    assert history.take() is None
    for number in range(REMEMBERED + 5):
        history.remember(choice(number))
    assert taken(history) == list(range(REMEMBERED + 4, 4, -1))


def test_a_slider_that_is_dragged_is_one_change() -> None:
    history = UndoHistory()
    for number in range(30):
        history.remember_gesture("strength", choice(number), 0.5 * number)
    assert taken(history) == [0]


def test_another_slider_or_a_pause_is_another_change() -> None:
    history = UndoHistory()
    history.remember_gesture("strength", choice(0), 0.0)
    history.remember_gesture("mix", choice(1), 0.5)
    history.remember_gesture("mix", choice(2), 2.0)
    assert taken(history) == [2, 1, 0]


def test_after_taking_back_the_next_move_is_another_change() -> None:
    history = UndoHistory()
    history.remember_gesture("strength", choice(0), 0.0)
    history.take()
    history.remember_gesture("strength", choice(1), 0.1)
    assert taken(history) == [1]
