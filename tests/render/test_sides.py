"""Renderings of presets that show person and background differently: the same from any segment."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from obs_stylizer.frames import Pixels
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.render.cue_presets import Style, find_presets
from obs_stylizer.render.cues import in_order, parse_cue
from obs_stylizer.render.director import SEGMENT_FRAMES, warm_up_frames
from obs_stylizer.render.encoders import Codec
from obs_stylizer.render.memory import Memory
from obs_stylizer.render.pictures import render_picture, write_picture
from obs_stylizer.render.pipeline import Stretch
from tests.fakes.models import write_mask_model, write_tint_model
from tests.fakes.videos import write_video
from tests.render.clips import Recipe, moving_pictures, write_clip
from tests.render.rendering import render
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


@pytest.fixture
def clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Style:
    monkeypatch.setattr("obs_stylizer.inference.locate.config_folder", lambda: tmp_path)
    write_mask_model(tmp_path / "models" / "person-mask.onnx")
    text = "title: Clear\nperson: plain\nbackground: transparent\nedge: 4\n"
    (tmp_path / "clear.yaml").write_text(text, "utf-8")
    ordered = in_order([], "clear", None)
    session = SessionOptions(provider=Provider.CPU, precision=Precision.F32)
    return Style(ordered, find_presets(ordered, PresetLibrary([tmp_path])), session)


def disc() -> Pixels:
    picture = np.full((192, 320, 3), 40, np.uint8)
    return np.asarray(cv2.circle(picture, (160, 96), 60, (200, 210, 220), -1), np.uint8)


def test_a_picture_with_nothing_behind_the_person(clear: Style, tmp_path: Path) -> None:
    write_picture(tmp_path / "in.png", disc())
    render_picture(tmp_path / "in.png", tmp_path / "out.png", clear, None)
    made = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert made is not None
    assert made.shape == (192, 320, 4)
    assert (made[80:112, 140:180, 3] == 255).all()
    assert (made[80:112, 140:180, :3] == (220, 210, 200)).all()
    assert (made[:30, :60, 3] == 0).all()
    # Straight alpha: what is half there has the frame's colour, and no green.
    between = (made[..., 3] > 20) & (made[..., 3] < 235)
    assert between.any()
    assert (made[between][:, 1].astype(int) - made[between][:, 0] < 20).all()


def test_what_holds_no_transparency_is_green_and_told(
    clear: Style, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "in.png", disc())
    render_picture(tmp_path / "in.png", tmp_path / "out.jpg", clear, None)
    made = cv2.imread(str(tmp_path / "out.jpg"))
    assert made is not None
    assert np.abs(made[:30, :60].astype(int) - (0, 255, 0)).max() < 12
    assert "holds no transparency" in caplog.text


@pytest.mark.parametrize(
    ("codec", "name", "near"), [(Codec.FFV1, "out.mkv", 0), (Codec.PRORES, "out.mov", 12)]
)
def test_a_film_with_nothing_behind_the_person(
    clear: Style, tmp_path: Path, codec: Codec, name: str, near: int
) -> None:
    write_video(tmp_path / "in.mp4", [disc()] * 5)
    render(tmp_path / "in.mp4", tmp_path / name, clear, codec=codec)
    with av.open(str(tmp_path / name)) as container:
        frames = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
    assert len(frames) == 5
    for frame in frames:
        assert frame[80:112, 140:180, 3].min() >= 255 - near
        assert frame[:30, :60, 3].max() <= near
        assert np.abs(frame[80:112, 140:180, :3].astype(int) - (200, 210, 220)).max() <= 8 + near
