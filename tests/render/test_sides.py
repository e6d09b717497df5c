"""Renderings of presets that show person and background differently: the same from any segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.render.cue_presets import Style, find_presets
from obs_stylizer.render.cues import in_order, parse_cue
from obs_stylizer.render.director import SEGMENT_FRAMES, warm_up_frames
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pipeline import Stretch
from tests.fakes.models import write_mask_model, write_tint_model
from tests.render.clips import Recipe, moving_pictures, write_clip
from tests.render.test_resuming import pictures

FRAMES = SEGMENT_FRAMES + 24
PRESETS = {
    "room": (
        "title: Room\nmodel: ./tint.onnx\nstyles: {red: 1}\nprocess_size: 64x48\n"
        "coherence: 0.7\ncrossfade_ms: 300\nperson: {styles: {blue: 1}}\n"
    ),
    "cut": 'title: Cut\nperson: plain\nbackground: {colour: "#102030"}\ncrossfade_ms: 200\n',
}


@pytest.fixture
def style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Style:
    monkeypatch.setattr("obs_stylizer.inference.locate.config_folder", lambda: tmp_path)
    write_mask_model(tmp_path / "models" / "person-mask.onnx")
    write_tint_model(tmp_path / "tint.onnx")
    for name, text in PRESETS.items():
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    cue = parse_cue(f"{SEGMENT_FRAMES / 25 - 0.1:.2f}=cut")
    ordered = in_order([cue], "room", None)
    session = SessionOptions(provider=Provider.CPU, precision=Precision.F32)
    return Style(ordered, find_presets(ordered, PresetLibrary([tmp_path])), session)


def test_a_segment_joins_the_one_before_exactly(style: Style, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", Recipe(moving_pictures(FRAMES)))
    whole, memories = pictures(clip, style)
    # Both sides are there to be seen.
    assert len({tuple(pixel) for pixel in whole[3].reshape(-1, 3)[::7]}) > 20
    kept = Memory.from_bytes(memories[1].to_bytes())
    assert kept.digest() == memories[1].digest()
    part, ends = pictures(clip, style, Stretch(first=SEGMENT_FRAMES, memory=kept))
    for one, other in zip(whole[SEGMENT_FRAMES:], part, strict=True):
        assert np.array_equal(one, other)
    assert ends[-1].digest() == memories[-1].digest()
    begin = SEGMENT_FRAMES - warm_up_frames(style.coherences)
    warmed, _ = pictures(clip, style, Stretch(first=SEGMENT_FRAMES, begin=begin))
    for one, other in zip(whole[SEGMENT_FRAMES:], warmed, strict=True):
        assert np.array_equal(one, other)


def test_other_models_or_pictures_are_another_style(style: Style, tmp_path: Path) -> None:
    before = style.facts()
    write_mask_model(tmp_path / "models" / "person-mask.onnx", multiple=32)
    assert style.facts() != before
