"""What a preset's check sees: the styles of its own generator, and those of its sides."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.errors import PresetError
from obs_stylizer.styling.preset_check import check_preset


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("styles: {dusk: 1}", "styles.dusk"),
        ("styles: {scream: 1}\nperson: {styles: {dusk: 1}}", "person.styles.dusk"),
        ("background: {model: cel, styles: {scream: 1}}", "background.styles.scream"),
    ],
)
def test_a_style_that_its_generator_lacks_is_named(text: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"title: Mine\nmodel: paintings\n{text}\n", "utf-8")
    with pytest.raises(PresetError, match="has no style") as caught:
        check_preset(path)
    assert key in str(caught.value)


def test_a_preset_with_sides_is_good(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\nmodel: cel\nbackground: {blur: 0.5}\n", "utf-8")
    check_preset(path)
