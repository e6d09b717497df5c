"""Strength, geometry, adjustments and crossfades, on generators whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import PresetError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.inference.generator import open_generator
from obs_stylizer.inference.session import Precision, Provider, SessionOptions
from obs_stylizer.motion.coherence import DEFAULT_COHERENCE
from obs_stylizer.presets import Adjustments, Preset, load_preset
from obs_stylizer.styling.adjustments import Adjuster
from obs_stylizer.styling.geometry import reshape
from obs_stylizer.styling.loaded_preset import LoadedPreset
from obs_stylizer.styling.stylizer import Stylizer
from tests.fakes import motion_scenes as scenes
from tests.fakes.models import write_invert_model, write_tint_model

SIZE = FrameSize(64, 32)
CPU = SessionOptions(provider=Provider.CPU, precision=Precision.F32)


def flat(value: int | tuple[int, int, int], size: FrameSize = SIZE) -> Pixels:
    return np.full(size.shape, value, np.uint8)


def invert(tmp_path: Path, **changes: object) -> LoadedPreset:
    path = tmp_path / "invert.onnx"
    write_invert_model(path)
    preset = Preset.model_validate({"title": "Invert", "model": str(path), **changes})
    return LoadedPreset(preset, open_generator(path, FrameSize(32, 16), CPU), SIZE)


def shown(stylizer: Stylizer, frame: Pixels, moment: float = 0.0) -> Pixels:
    target = np.empty(stylizer.size.shape, np.uint8)
    stylizer.process(frame, moment, target)
    return target


@pytest.mark.parametrize(("strength", "value"), [(1.0, 215), (0.0, 40), (0.5, 127)])
def test_strength_blends_the_plain_frame_in(tmp_path: Path, strength: float, value: int) -> None:
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(invert(tmp_path, strength=strength), 0)
    assert np.abs(shown(stylizer, flat(40)).astype(int) - value).max() <= 1


def test_strength_zero_keeps_the_frame_as_sharp_as_it_came(tmp_path: Path) -> None:
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(invert(tmp_path, strength=0.0), 0)
    frame = np.random.default_rng(0).integers(0, 256, SIZE.shape, np.uint8)
    assert (shown(stylizer, frame) == frame).all()


def test_bypass_shows_the_plain_frame_and_back(tmp_path: Path) -> None:
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(invert(tmp_path), 0)
    stylizer.bypass = True
    assert (shown(stylizer, flat(40)) == 40).all()
    stylizer.bypass = False
    assert (shown(stylizer, flat(40)) == 215).all()


def test_crossfade_runs_from_one_preset_to_the_other(tmp_path: Path) -> None:
    stylizer = Stylizer(SIZE)
    plain = LoadedPreset(Preset(title="Plain"), None, SIZE)
    stylizer.switch_to(plain, 0)
    assert shown(stylizer, flat(40), 0.0).mean() == 40
    stylizer.switch_to(invert(tmp_path), 1000)
    values = [shown(stylizer, flat(40), moment / 10).mean() for moment in range(1, 13)]
    # A tenth of the way at once, so that the change is seen with the first frame.
    assert values[0] == pytest.approx(40 + 175 * 0.1, abs=1)
    assert values[4] == pytest.approx(40 + 175 * 0.5, abs=1)
    assert values[9:] == [215, 215, 215]
    assert values == sorted(values)


def test_first_preset_is_not_faded_in(tmp_path: Path) -> None:
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(invert(tmp_path), 1000)
    assert (shown(stylizer, flat(40)) == 215).all()


def test_styles_of_one_generator_are_crossfaded_by_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "tint.onnx"
    write_tint_model(path, ("red", "blue"))
    generator = open_generator(path, FrameSize(32, 16), CPU)
    runs = []
    original = generator.run

    def counted(*arguments: object) -> Pixels:
        runs.append(arguments)
        return original(*arguments)  # type: ignore[arg-type]

    generator.run = counted  # type: ignore[method-assign]
    loaded_presets = [
        LoadedPreset(Preset(title=name, model=str(path), styles={name: 1}), generator, SIZE)
        for name in ("red", "blue")
    ]
    stylizer = Stylizer(SIZE)
    stylizer.switch_to(loaded_presets[0], 0)
    red = shown(stylizer, flat(100), 0.0)
    stylizer.switch_to(loaded_presets[1], 1000)
    shown(stylizer, flat(100), 0.1)
    middle = shown(stylizer, flat(100), 0.5)
    blue = shown(stylizer, flat(100), 2.0)
    # One run a frame, also in the middle of the crossfade.
    assert len(runs) == 4
    assert not (red == blue).all()
    expected = (red.astype(float) + blue) / 2
    assert np.abs(middle - expected).max() <= 2


def test_crop_takes_the_middle_and_fit_adds_bars() -> None:
    frame = np.zeros((90, 240, 3), np.uint8)
    frame[:, 80:160] = 200
    cropped = reshape(frame, FrameSize(80, 90), "crop")
    assert (cropped == 200).all()
    fitted = reshape(frame, FrameSize(240, 180), "fit")
    assert fitted[:45].max() == 0
    assert fitted[135:].max() == 0
    assert fitted[90, 120, 0] == 200
    stretched = reshape(frame, FrameSize(24, 90), "stretch")
    assert stretched[40, 12, 0] == 200
    assert stretched[40, 2, 0] == 0


def test_mirror_flips_left_and_right() -> None:
    frame = flat(0)
    frame[:, :10] = 255
    assert reshape(frame, SIZE, mirror=True)[:, -10:].min() == 255


@pytest.mark.parametrize("size", [(16, 16), (33, 17), (4096, 16), (160, 120)])
def test_any_source_size_gives_the_output_size(tmp_path: Path, size: tuple[int, int]) -> None:
    for fit in ("crop", "fit", "stretch"):
        stylizer = Stylizer(SIZE)
        stylizer.switch_to(invert(tmp_path, fit=fit), 0)
        assert shown(stylizer, flat(40, FrameSize(*size))).shape == SIZE.shape


@pytest.mark.parametrize(
    ("adjustments", "before", "after"),
    [
        ({}, (10, 20, 30), (10, 20, 30)),
        ({"brightness": 0.2}, (100, 100, 100), (151, 151, 151)),
        ({"contrast": 2}, (100, 100, 100), (72, 72, 72)),
        ({"saturation": 0}, (255, 0, 0), (76, 76, 76)),
        ({"gamma": 2}, (64, 64, 64), (128, 128, 128)),
        ({"sharpen": 1}, (90, 90, 90), (90, 90, 90)),
        ({"denoise": 1}, (90, 90, 90), (90, 90, 90)),
    ],
)
def test_adjustments_of_a_flat_colour(
    adjustments: dict[str, float], before: tuple[int, int, int], after: tuple[int, int, int]
) -> None:
    result = Adjuster(Adjustments(**adjustments))(flat(before))
    assert np.abs(result.astype(int) - after).max() <= 1


def test_denoise_quiets_noise_and_sharpen_lifts_an_edge() -> None:
    noisy = np.clip(np.random.default_rng(0).normal(128, 8, SIZE.shape), 0, 255).astype(np.uint8)
    assert Adjuster(Adjustments(denoise=1))(noisy).std() < 0.7 * noisy.std()
    edge = flat(80)
    edge[:, 32:] = 160
    sharp = Adjuster(Adjustments(sharpen=1))(edge)
    assert sharp.max() > 165
    assert sharp.min() < 75


def test_same_frames_and_times_give_the_same_pictures(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    frames = [chance.integers(0, 256, (45, 80, 3), np.uint8) for _ in range(6)]

    def play() -> list[Pixels]:
        stylizer = Stylizer(SIZE)
        stylizer.switch_to(LoadedPreset(Preset(title="Plain"), None, SIZE), 0)
        pictures = []
        for number, frame in enumerate(frames):
            if number == 2:
                stylizer.switch_to(invert(tmp_path, coherence=0.5), 100)
            pictures.append(shown(stylizer, frame, number / 30))
        return pictures

    for first, second in zip(play(), play(), strict=True):
        assert (first == second).all()


@pytest.mark.parametrize(("parted_at", "fades"), [(3, True), (6, False)])
def test_another_stylizer_goes_on_where_one_was(
    tmp_path: Path, parted_at: int, fades: bool
) -> None:
    chance = np.random.default_rng(3)
    frames = [chance.integers(90, 110, (45, 80, 3), np.uint8) for _ in range(9)]

    def loaded_presets() -> list[LoadedPreset]:
        plain = LoadedPreset(Preset(title="Plain", coherence=0.9), None, SIZE)
        return [plain, invert(tmp_path, coherence=0.5)]

    def play(stylizer: Stylizer, numbers: range) -> list[Pixels]:
        return [shown(stylizer, frames[number], number / 30) for number in numbers]

    def begin(first: LoadedPreset, second: LoadedPreset) -> Stylizer:
        stylizer = Stylizer(SIZE)
        stylizer.switch_to(first, 0)
        play(stylizer, range(2))
        stylizer.switch_to(second, 100)
        return stylizer

    whole = play(begin(*loaded_presets()), range(2, 9))
    olds, news = loaded_presets(), loaded_presets()
    one, other = begin(*olds), Stylizer(SIZE)
    play(one, range(2, parted_at))
    for old, new in zip(olds, news, strict=True):
        past = old.memory()
        assert past is not None
        new.recall(past)
    assert (one.crossfade is not None) == fades
    other.go_on(news if fades else news[1:], one.crossfade, one.last_moment)
    for mine, its in zip(play(other, range(parted_at, 9)), whole[parted_at - 2 :], strict=True):
        assert (mine == its).all()


def test_a_preset_without_coherence_has_no_past() -> None:
    assert LoadedPreset(Preset(title="Plain"), None, SIZE).memory() is None


def test_the_former_name_of_coherence_is_read_and_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("title: Old\ntemporal_smoothing: 0.3\n", "utf-8")
    with caplog.at_level("INFO"):
        assert load_preset(path).coherence == 0.3
    assert "temporal_smoothing is called coherence now" in caplog.text
    path.write_text("title: Old\ntemporal_smoothing: 0.3\ncoherence: 0.5\n", "utf-8")
    with pytest.raises(PresetError, match="former name of coherence"):
        load_preset(path)


def test_coherence_is_the_presets_else_the_generators(tmp_path: Path) -> None:
    assert invert(tmp_path, coherence=0.4).coherence == 0.4
    assert invert(tmp_path).coherence == DEFAULT_COHERENCE
    assert LoadedPreset(Preset(title="Plain"), None, SIZE).coherence == 0
    generator = invert(tmp_path).generator
    assert generator is not None
    generator.spec = generator.spec.model_copy(update={"coherence": 0.2})
    assert LoadedPreset(Preset(title="Calm"), generator, SIZE).coherence == 0.2


def test_strokes_that_flicker_are_calmed() -> None:
    clip = scenes.panning(8, 2)

    def play(coherence: float) -> list[Pixels]:
        strokes = iter(scenes.flickering(clip))
        stylizer = Stylizer(FrameSize(scenes.WIDTH, scenes.HEIGHT))
        loaded = LoadedPreset(Preset(title="A", coherence=coherence), None, stylizer.size)
        loaded.generate = lambda small, state: next(strokes)  # type: ignore[method-assign]
        stylizer.switch_to(loaded, 0)
        return [shown(stylizer, frame, number / 30) for number, frame in enumerate(clip)]

    assert scenes.warp_error(clip, play(0.85), 2) < 0.6 * scenes.warp_error(clip, play(0), 2)
