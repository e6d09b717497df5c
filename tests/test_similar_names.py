"""Names that look the same and are written with other characters."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from obs_stylizer.control.obs.scene_follower import SceneFollower, preset_hints, scene_hints
from obs_stylizer.errors import PresetError
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.settings import ObsSettings
from obs_stylizer.similar_names import find_alike, hint_for

COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Café Zürich") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (COMPOSED, TAKEN_APART),
        (TAKEN_APART, COMPOSED),
        ("Just Chatting", "Just\u00a0Chatting"),
        ("Just Chatting", "Just Chatting "),
        ("Gaming 🎮", "Gaming 🎮\ufe0f"),
        ("Gaming", "\u200bGaming"),
        ("Gaming", "Ｇａｍｉｎｇ"),
    ],
)
def test_what_differs_unseen_is_found(ours: str, theirs: str) -> None:
    assert find_alike(ours, ["Other", theirs]) == theirs
    follower = SceneFollower(ObsSettings.model_validate({"scenes": {ours: "ink"}}))
    follower.take_scenes(["Other", theirs])
    assert follower.preset_for(theirs).preset == "ink"
    assert follower.preset_for("Other").preset == ""
    assert scene_hints(ObsSettings.model_validate({"scenes": {ours: "ink"}}), [theirs]) == []


def test_a_switch_goes_to_the_name_that_obs_knows() -> None:
    follower = SceneFollower(ObsSettings.model_validate({"presets": {"ink": COMPOSED}}))
    follower.take_scenes(["A", TAKEN_APART])
    follower.take_program("A", 0.0)
    follower.take_preset("plain", 1, 0.0)
    assert follower.take_preset("ink", 2, 1.0) == TAKEN_APART


def test_the_very_name_goes_before_one_that_looks_the_same() -> None:
    assert find_alike(COMPOSED, [TAKEN_APART, COMPOSED]) == COMPOSED


def test_where_two_look_the_same_nothing_is_guessed() -> None:
    assert find_alike("A B", ["A\u00a0B", "A  B"]) is None


def test_other_alphabets_are_not_ours_and_the_letter_is_named() -> None:
    cyrillic = "\u0421amera"
    assert find_alike("Camera", [cyrillic]) is None
    hint = hint_for("Camera", [cyrillic])
    assert "U+0421 CYRILLIC CAPITAL LETTER ES where yours has U+0043 LATIN" in hint
    assert hint_for("Camera", ["Camara"]) == "did you mean “Camara”?"
    assert hint_for("Camera", ["Zoo"]) == "it has: Zoo"


def test_a_scene_keeps_the_name_that_it_was_given_later() -> None:
    follower = SceneFollower(ObsSettings.model_validate({"scenes": {"A": "ink"}}))
    follower.take_scenes(["A"])
    follower.rename("A", "B")
    follower.take_scenes(["B"])
    assert follower.preset_for("B").preset == "ink"


def test_presets_are_found_by_names_that_look_the_same(tmp_path: Path) -> None:
    (tmp_path / f"{TAKEN_APART}.yaml").write_text("title: Mine\n", "utf-8")
    (tmp_path / f"._{TAKEN_APART}.yaml").write_bytes(b"\x00\x05\x16\x07 a twin of a Mac's")
    library = PresetLibrary((tmp_path,))
    assert library.errors == {}
    assert library.get(COMPOSED).preset.title == "Mine"
    assert preset_hints(ObsSettings(presets={COMPOSED: "A"}), library.names()) == []
    (tmp_path / "\u0421af\u00e9.yaml").write_text("title: Other\n", "utf-8")
    library.refresh()
    with pytest.raises(PresetError, match=r"there is no preset “Café”") as caught:
        library.get(unicodedata.normalize("NFC", "Café"))
    assert "U+0421 CYRILLIC" in caught.value.remedy
