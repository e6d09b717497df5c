"""Person and background, each with its own picture; a person is whatever is bright here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import ModelError, PresetError, SourceError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.native_model import load_native_model
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.presets import PresetLibrary
from obs_stylizer.realtime.live_stylizer import LiveStylizer
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.preset_loader import PresetLoader
from obs_stylizer.styling.stylizer import Stylizer
from tests.fakes.models import write_invert_model, write_mask_model, write_tint_model
from tests.fakes.videos import write_video

SIZE = FrameSize(320, 192)
CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32, threads=1)
INSIDE, OUTSIDE = np.s_[80:112, 144:176], np.s_[8:40, 8:60]

Load = Callable[[str], LoadedPreset]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own models, among them one that finds people."""
    monkeypatch.setattr("obs_stylizer.inference.locate.config_folder", lambda: tmp_path)
    folder = tmp_path / "models"
    write_mask_model(folder / "person-mask.onnx")
    write_invert_model(folder / "invert.onnx")
    write_tint_model(folder / "tint.onnx")
    return folder


@pytest.fixture
def load(models: Path, tmp_path: Path) -> Iterator[Load]:
    loader = PresetLoader(SIZE, CPU, FrameSize(160, 96))

    def of_text(text: str) -> LoadedPreset:
        (tmp_path / "tried.yaml").write_text(f"title: Tried\ncoherence: 0\n{text}\n", "utf-8")
        return loader.load(PresetLibrary([tmp_path]).get("tried"))

    yield of_text
    loader.close()


def frame(person: int | None = 220, room: int = 40) -> Pixels:
    """A dark room with a bright disc in it."""
    picture = np.full(SIZE.shape, room, np.uint8)
    if person is not None:
        cv2.circle(picture, (160, 96), 60, (person,) * 3, -1, cv2.LINE_AA)
    return picture


def shown(loaded: LoadedPreset, *frames: Pixels) -> Pixels:
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(loaded, 0)
    target = np.empty(SIZE.shape, np.uint8)
    for number, picture in enumerate(frames):
        stylizer.process(picture, number / 30, target)
    return target


def colours(picture: Pixels) -> tuple[list[int], list[int]]:
    """Mean colour of the person's middle, and of the room's corner."""
    inside, outside = picture[INSIDE].mean((0, 1)), picture[OUTSIDE].mean((0, 1))
    return [round(value) for value in inside], [round(value) for value in outside]


def test_a_side_that_is_not_named_has_the_preset_s_style(load: Load) -> None:
    assert colours(shown(load("model: invert\nperson: plain"), frame())) == ([220] * 3, [215] * 3)
    assert colours(shown(load("model: invert\nbackground: plain"), frame())) == ([35] * 3, [40] * 3)


def test_two_styles_of_one_generator_and_of_two(load: Load) -> None:
    one = load("model: tint\nstyles: {red: 1}\nbackground: {styles: {blue: 1}}")
    assert colours(shown(one, frame(180))) == ([240, 180, 180], [40, 40, 100])
    two = load("model: invert\nperson: {model: tint, styles: {red: 1}}")
    assert colours(shown(two, frame(180))) == ([240, 180, 180], [215] * 3)
    assert two.frame_seconds > two.layers[1].frame_seconds > 0


def test_a_colour_a_blur_and_adjustments(load: Load) -> None:
    loaded = load(
        'person: {plain: true, after: {brightness: -0.2}}\nbackground: {colour: "#102030"}'
    )
    assert colours(shown(loaded, frame())) == ([169] * 3, [16, 32, 48])
    room = frame()
    room[::2, :100] = 80
    picture = shown(load("person: plain\nbackground: {blur: 1}"), room)
    assert np.ptp(picture[OUTSIDE]) <= 6
    assert (picture[INSIDE] == 220).all()


def test_a_picture_beside_the_preset_and_one_that_is_none(load: Load, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "sea.png"), np.full((30, 50, 3), (200, 100, 50), np.uint8))
    loaded = load("person: plain\nbackground: {picture: sea.png}")
    # It is in memory: on air nothing happens when the file goes.
    (tmp_path / "sea.png").unlink()
    assert colours(shown(loaded, frame())) == ([220] * 3, [50, 100, 200])
    with pytest.raises(SourceError, match=r"sea\.png"):
        load("person: plain\nbackground: {picture: sea.png}")
    (tmp_path / "sea.png").write_text("no picture", "utf-8")
    with pytest.raises(SourceError, match=r"sea\.png"):
        load("person: plain\nbackground: {picture: sea.png}")


def test_a_film_goes_by_the_times_of_the_frames_and_holds_its_end(
    load: Load, tmp_path: Path
) -> None:
    write_video(tmp_path / "film.mp4", [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(6)])
    loaded = load("person: plain\nbackground: {source: 'file:film.mp4?once'}")
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(loaded, 0)
    levels = []
    for moment in (0.0, 0.05, 0.25, 0.45, 2.0, 3.0):
        target = np.empty(SIZE.shape, np.uint8)
        stylizer.process(frame(), moment, target)
        levels.append(round(float(target[OUTSIDE].mean()) / 20))
    assert levels == [0, 0, 2, 4, 5, 5]
    with pytest.raises(SourceError, match=r"gone\.mp4"):
        load("person: plain\nbackground: {source: 'file:gone.mp4'}")
    with pytest.raises(PresetError, match="cannot be shown behind"):
        load("person: plain\nbackground: {source: camera}")
    with pytest.raises(PresetError, match="is no source"):
        load("person: plain\nbackground: {source: nothing}")


def test_a_live_film_is_read_at_its_own_time(models: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", [np.full((48, 64, 3), 20 * n, np.uint8) for n in range(6)])
    text = "title: A\nperson: plain\nbackground: {source: 'file:film.mp4?once'}\n"
    (tmp_path / "live.yaml").write_text(text, "utf-8")
    loader = PresetLoader(SIZE, CPU, live=True)
    loaded = loader.load(PresetLibrary([tmp_path]).get("live"))
    end = time.monotonic() + 20
    while round(float(shown(loaded, frame())[OUTSIDE].mean()) / 20) != 5:
        assert time.monotonic() < end
        time.sleep(0.02)
    loader.close()


def test_strengths_swap_and_mask(load: Load) -> None:
    loaded = load('model: invert\nbackground: {colour: "#000000"}')
    assert loaded.side_strengths == {"person": 1.0, "background": 1.0}
    loaded.with_side_strength("background", 0.5)
    assert colours(shown(loaded, frame())) == ([35] * 3, [20] * 3)
    loaded.with_side_strength("person", 0)
    assert colours(shown(loaded, frame())) == ([220] * 3, [20] * 3)
    loaded.with_strength(1.0)
    assert loaded.sides is not None
    loaded.sides.swapped = True
    assert colours(shown(loaded, frame())) == ([0] * 3, [215] * 3)
    stylizer = Stylizer(SIZE, shows_mask=True)
    stylizer.switch_to(loaded, 0)
    target = np.empty(SIZE.shape, np.uint8)
    stylizer.process(frame(), 0.0, target)
    inside, outside = colours(target)
    assert inside == [220] * 3
    assert outside[2] > outside[0] + 50


def test_nobody_in_the_frame_is_background_everywhere_and_is_told_once(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load('person: plain\nbackground: {colour: "#102030"}')
    with caplog.at_level(logging.INFO, "obs_stylizer.styling"):
        picture = shown(loaded, *[frame(None)] * 700)
    assert (picture == (16, 32, 48)).all()
    assert [text for text in caplog.messages if "nobody" in text] == [
        "nobody is found in the frames; the background fills them"
    ]


def test_a_mask_model_that_is_missing_or_none(load: Load, models: Path) -> None:
    mask = models / "person-mask.onnx"
    write_invert_model(mask)
    with pytest.raises(ModelError, match="person and background cannot be told apart"):
        load("person: plain\nbackground: {blur: 0.5}")
    mask.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"person-mask\.onnx"):
        load("person: plain\nbackground: {blur: 0.5}")
    assert colours(shown(load("model: invert"), frame())) == ([35] * 3, [215] * 3)


def test_a_mask_model_is_no_generator(models: Path) -> None:
    with pytest.raises(ModelError, match="finds people and turns no picture into another"):
        load_native_model(models / "person-mask.onnx")


def test_a_preset_without_sides_opens_no_mask(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "obs_stylizer.styling.preset_loader.open_mask", lambda *_: pytest.fail("opened")
    )
    loaded = load("model: invert")
    assert loaded.sides is None
    assert colours(shown(loaded, frame())) == ([35] * 3, [215] * 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("person: {}", "it names nothing to show"),
        ("person: {blur: 0.5, colour: '#000000'}", "it names blur and colour"),
        ("person: {plain: true, model: invert}", "it names plain and model"),
        ("background: {colour: red}", "colour"),
        ("background: {blur: 2}", "blur"),
        ("background: beautiful", "background"),
        ("edge: -1", "edge"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(load: Load, text: str, said: str) -> None:
    with pytest.raises(PresetError, match=said):
        load(text)


def test_a_crossfade_between_presets_with_sides(load: Load) -> None:
    dark = load('person: plain\nbackground: {colour: "#000000"}')
    bright = load('person: plain\nbackground: {colour: "#c8c8c8"}')
    stylizer = Stylizer(SIZE)
    target = np.empty(SIZE.shape, np.uint8)
    stylizer.switch_to(dark, 0)
    stylizer.process(frame(), 0.0, target)
    stylizer.switch_to(bright, 1000)
    levels = []
    for number in range(1, 12):
        stylizer.process(frame(), number / 10, target)
        assert colours(target)[0] == [220] * 3
        levels.append(colours(target)[1][0])
    assert levels == sorted(levels)
    assert levels[-1] == 200


def test_two_generators_take_turns_where_they_are_too_slow(load: Load) -> None:
    loaded = load("model: invert\nbackground: {model: tint, styles: {blue: 1}}")
    stylizer = LiveStylizer(SIZE)
    stylizer._pace.is_too_slow = True
    stylizer.period = 1e-4
    stylizer.switch_to(loaded, 0)
    target = np.empty(SIZE.shape, np.uint8)
    random = np.random.default_rng(0)
    asked: list[LoadedPreset] = []
    make = stylizer._keys.make

    def noted(layer: LoadedPreset, *rest: object) -> None:
        asked.append(layer)
        make(layer, *rest)  # type: ignore[arg-type]

    stylizer._keys.make = noted  # type: ignore[method-assign]
    for number in range(40):
        picture = frame()
        picture[100:, :100] = random.integers(0, 90, (92, 100, 3))
        stylizer.process(picture, number / 30, target)
        time.sleep(0.005)
    assert stylizer.is_carrying
    counts = [sum(layer is one for one in asked) for layer in loaded.layers]
    assert min(counts) > 5
    assert abs(counts[0] - counts[1]) <= 3
    inside, outside = colours(target)
    assert np.abs(np.subtract(inside, [35] * 3)).max() <= 3
    assert np.abs(np.subtract(outside, [40, 40, 100])).max() <= 3
