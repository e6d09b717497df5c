"""Scenes and presets follow each other, and never in circles."""

from __future__ import annotations

from typing import Any

import pytest

from obs_stylizer.control.obs.scene_follower import (
    LEAVE,
    SceneFollower,
    preset_hints,
    scene_hints,
)
from obs_stylizer.settings import ObsSettings, ScenePreset


def settings(**values: Any) -> ObsSettings:
    return ObsSettings.model_validate(values)


def test_short_and_long_form_and_leave() -> None:
    follower = SceneFollower(
        settings(
            scenes={
                "A": "wave",
                "B": {"preset": "ink", "strength": 0.5, "crossfade_ms": 0},
                "C": "leave",
                "D": None,
                "E": {"strength": 0.2},
            },
            default="plain",
        )
    )
    assert follower.preset_for("A") == ScenePreset(preset="wave")
    assert follower.preset_for("B") == ScenePreset(preset="ink", strength=0.5, crossfade_ms=0)
    assert follower.preset_for("C") == follower.preset_for("D") == LEAVE
    assert follower.preset_for("E") == ScenePreset(strength=0.2)
    assert follower.preset_for("unnamed") == ScenePreset(preset="plain")
    assert SceneFollower(settings(scenes={"A": "wave"})).preset_for("unnamed") == LEAVE


def test_scene_is_applied_once() -> None:
    follower = SceneFollower(settings(scenes={"A": "wave", "B": "ink"}))
    assert follower.take_program("A", 0.0).preset == "wave"
    assert follower.take_program("A", 1.0) == LEAVE
    assert follower.take_program("B", 2.0).preset == "ink"


def test_preset_of_a_person_switches_the_scene_whose_preset_is_then_left() -> None:
    follower = SceneFollower(settings(scenes={"A": "wave", "B": "ink"}, presets={"oil": "B"}))
    follower.take_preset("plain", 1, 0.0)
    follower.take_program("A", 0.0)
    assert follower.take_preset("oil", 2, 1.0) == "B"
    assert follower.take_program("B", 1.1) == LEAVE
    # The next change is a person's again.
    assert follower.take_program("A", 2.0).preset == "wave"


def test_preset_that_a_scene_applied_switches_nothing() -> None:
    follower = SceneFollower(settings(scenes={"A": "wave", "B": "ink"}, presets={"wave": "B"}))
    follower.take_preset("plain", 1, 0.0)
    assert follower.take_program("A", 0.0).preset == "wave"
    follower.take_own_request(2)
    follower.take_program("B", 0.1)
    assert follower.take_preset("wave", 2, 0.2) is None


def test_preset_that_the_scene_asks_for_switches_nothing() -> None:
    follower = SceneFollower(settings(scenes={"A": "wave"}, presets={"wave": "B"}))
    follower.take_preset("plain", 1, 0.0)
    follower.take_program("A", 0.0)
    assert follower.take_preset("wave", 9, 1.0) is None


def test_first_preset_and_a_new_request_for_it_switch_nothing() -> None:
    follower = SceneFollower(settings(presets={"wave": "B", "ink": "C"}))
    follower.take_program("A", 0.0)
    assert follower.take_preset("wave", 1, 0.0) is None
    assert follower.take_preset("wave", 2, 1.0) is None
    assert follower.take_preset("ink", 3, 2.0) == "C"


def test_switch_that_never_came_is_forgotten() -> None:
    follower = SceneFollower(settings(scenes={"B": "ink"}, presets={"oil": "B"}))
    follower.take_preset("plain", 1, 0.0)
    follower.take_program("A", 0.0)
    assert follower.take_preset("oil", 2, 1.0) == "B"
    follower.forget_switch()
    assert follower.take_program("B", 1.1).preset == "ink"
    follower.take_program("A", 2.0)
    follower.take_preset("plain", 3, 2.0)
    assert follower.take_preset("oil", 4, 3.0) == "B"
    assert follower.take_program("B", 60.0).preset == "ink"


@pytest.mark.parametrize("delay", [0.0, 10.0])
def test_crossed_maps_come_to_rest(delay: float) -> None:
    """Each scene asks for the preset that asks for the other scene, and OBS may be slow."""
    both = settings(scenes={"A": "wave", "B": "ink"}, presets={"wave": "B", "ink": "A"})
    for start in ("scene", "preset"):
        follower = SceneFollower(both)
        follower.take_preset("plain", 0, 0.0)
        follower.take_program("C", 0.0)
        todo: list[tuple[str, str]] = [(start, "A" if start == "scene" else "wave")]
        now, request_id, steps = 1.0, 0, 0
        while todo:
            kind, name = todo.pop(0)
            steps += 1
            assert steps < 5, "in circles"
            if kind == "scene":
                scene_preset = follower.take_program(name, now)
                if scene_preset.preset:
                    request_id += 1
                    follower.take_own_request(request_id)
                    todo.append(("own preset", scene_preset.preset))
            else:
                request_id += kind == "preset"
                scene = follower.take_preset(name, request_id, now)
                if scene:
                    now += delay
                    todo.append(("scene", scene))


def test_renamed_scene_is_followed() -> None:
    follower = SceneFollower(settings(scenes={"A": "wave"}, presets={"oil": "A"}))
    follower.take_preset("plain", 1, 0.0)
    follower.take_program("A", 0.0)
    assert follower.rename("A", "Z")
    assert not follower.rename("other", "else")
    assert follower.program == "Z"
    assert follower.preset_for("Z").preset == "wave"
    assert follower.is_named("Z")
    assert not follower.is_named("A")
    follower.take_program("B", 1.0)
    assert follower.take_preset("oil", 2, 1.0) == "Z"
    assert follower.rename("Z", "Y")
    assert follower.preset_for("Y").preset == "wave"


def test_hints_name_what_is_missing() -> None:
    wrong = settings(scenes={"Gamin": "wafe", "A": "ink"}, presets={"nope": "Elsewhere"})
    assert scene_hints(wrong, ["A", "Gaming"]) == [
        "OBS has no scene “Gamin” (did you mean “Gaming”?)",
        "OBS has no scene “Elsewhere” (it has: A, Gaming)",
    ]
    assert preset_hints(wrong, ["ink", "wave"]) == [
        "obs: there is no preset “wafe” (did you mean “wave”?)",
        "obs: there is no preset “nope” (see: obs-stylizer presets list)",
    ]
