"""The stylizer on air, with generators that are slow and others that are quick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from obs_stylizer.errors import ProviderError
from obs_stylizer.frames import FrameSize, Pixels
from obs_stylizer.motion.flow import MotionEstimator
from obs_stylizer.presets import Preset
from obs_stylizer.realtime.live_stylizer import LiveStylizer
from obs_stylizer.realtime.source_period import SourcePeriod
from obs_stylizer.styling.loaded_preset import LoadedPreset
from tests.fakes import motion_scenes as scenes

SIZE = FrameSize(scenes.WIDTH, scenes.HEIGHT)
Paint = Callable[[Pixels], Pixels]


class HandGenerator:
    """A generator whose runs go on until they are let through."""

    def __init__(self, paint: Paint = lambda frame: 255 - frame) -> None:
        self.spec = SimpleNamespace(styles=(), coherence=0.0, enlarging="smooth")
        self.frame_size = SIZE
        self.has_strength = False
        self.paint = paint
        self.runs = 0
        self.cancelled = False
        self.gate = threading.Event()
        self.gate.set()

    def run(self, frame: Pixels, styles: Any, strength: float) -> Pixels:
        self.cancelled = False
        assert self.gate.wait(20)
        if self.cancelled:
            raise ProviderError("the run was cancelled")
        self.runs += 1
        return self.paint(frame)

    def cancel(self) -> None:
        self.cancelled = True
        self.gate.set()


def loaded(generator: HandGenerator, **changes: Any) -> LoadedPreset:
    preset = Preset.model_validate({"title": "Hand", "coherence": 0.0, **changes})
    return LoadedPreset(preset, generator, SIZE)  # type: ignore[arg-type]


def carrying(first: LoadedPreset) -> LiveStylizer:
    """A stylizer that has found its generator too slow."""
    stylizer = LiveStylizer(SIZE)
    stylizer._pace.is_too_slow = True
    stylizer._newest_seconds = 1.0
    stylizer.period = 1 / 30
    stylizer.switch_to(first, 0)
    return stylizer


def shown(stylizer: LiveStylizer, frame: Pixels, number: int) -> Pixels:
    target = np.empty(SIZE.shape, np.uint8)
    stylizer.process(frame, number / 30, target)
    return target


def settled(stylizer: LiveStylizer) -> None:
    """Wait until the generator has nothing under way but what waits to be taken."""
    end = time.monotonic() + 20
    while stylizer._keys.busy_seconds > 0:
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def generator() -> Iterator[HandGenerator]:
    made = HandGenerator()
    yield made
    made.gate.set()


def test_every_frame_is_fresh_while_the_generator_works(generator: HandGenerator) -> None:
    clip = scenes.panning(8, 4)
    stylizer = carrying(loaded(generator))
    shown(stylizer, clip[0], 0)
    generator.gate.clear()
    for number, frame in enumerate(clip[1:], 1):
        picture = shown(stylizer, frame, number)
        inner = np.s_[8:-8, 8:-40]
        assert cv2.absdiff(picture, 255 - frame)[inner].mean() < 8
    assert generator.runs == 1
    assert stylizer.counts.reprojected == 7
    generator.gate.set()
    settled(stylizer)
    shown(stylizer, clip[-1], 8)
    assert stylizer.counts.generated == 2


def test_strength_and_bypass_act_on_every_frame(generator: HandGenerator) -> None:
    still = scenes.standing(1)[0]
    preset = loaded(generator)
    stylizer = carrying(preset)
    shown(stylizer, still, 0)
    generator.gate.clear()
    preset.with_strength(0.5)
    assert np.abs(shown(stylizer, still, 1).astype(int) - 127).max() <= 2
    stylizer.bypass = True
    assert np.array_equal(shown(stylizer, still, 2), still)
    stylizer.bypass = False
    preset.with_strength(1.0)
    assert np.abs(shown(stylizer, still, 3).astype(int) - (255 - still.astype(int))).max() <= 2


def test_a_preset_before_is_shown_until_the_new_one_has_its_first_picture(
    generator: HandGenerator,
) -> None:
    clip = scenes.panning(8, 2)
    slow = HandGenerator(lambda frame: np.full_like(frame, 200))
    stylizer = carrying(loaded(generator))
    shown(stylizer, clip[0], 0)
    settled(stylizer)
    slow.gate.clear()
    stylizer.switch_to(loaded(slow), 0)
    for number in (1, 2):
        picture = shown(stylizer, clip[number], number)
        assert stylizer.waits_for_first
        assert cv2.absdiff(picture, 255 - clip[number])[8:-8, 8:-40].mean() < 8
    slow.gate.set()
    settled(stylizer)
    shown(stylizer, clip[3], 3)
    settled(stylizer)
    assert np.abs(shown(stylizer, clip[4], 4).astype(int) - 200).max() <= 4
    assert not stylizer.waits_for_first


def test_a_new_preset_waits_neither_for_the_old_one_nor_for_a_frame(
    generator: HandGenerator,
) -> None:
    clip = scenes.panning(4, 2)
    white = HandGenerator(lambda frame: np.full_like(frame, 200))
    stylizer = carrying(loaded(generator))
    shown(stylizer, clip[0], 0)
    settled(stylizer)
    generator.gate.clear()
    shown(stylizer, clip[1], 1)
    stylizer.switch_to(loaded(white), 0)
    stylizer.begin_first()
    settled(stylizer)
    assert generator.runs == 1
    assert white.runs == 1
    assert np.abs(shown(stylizer, clip[2], 2).astype(int) - 200).max() <= 4
    assert not stylizer.waits_for_first
    settled(stylizer)
    shown(stylizer, clip[3], 3)
    assert stylizer.loaded is not None
    assert stylizer.loaded.generator is white


def test_presets_asked_for_in_quick_succession_leave_the_first_on_air(
    generator: HandGenerator,
) -> None:
    clip = scenes.panning(6, 2)
    never, last = HandGenerator(np.zeros_like), HandGenerator(lambda f: np.full_like(f, 200))
    stylizer = carrying(loaded(generator))
    shown(stylizer, clip[0], 0)
    settled(stylizer)
    never.gate.clear()
    last.gate.clear()
    for number, preset in ((1, loaded(never)), (2, loaded(last))):
        stylizer.switch_to(preset, 0)
        picture = shown(stylizer, clip[number], number)
        assert stylizer.waits_for_first
        assert cv2.absdiff(picture, 255 - clip[number])[8:-8, 8:-40].mean() < 8
    last.gate.set()
    settled(stylizer)
    assert np.abs(shown(stylizer, clip[3], 3).astype(int) - 200).max() <= 4
    assert never.runs == 0


def test_a_frame_is_followed_once_for_two_presets_that_prepare_it_alike(
    generator: HandGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = scenes.panning(8, 2)
    followed = []
    observe = MotionEstimator.observe
    monkeypatch.setattr(
        MotionEstimator, "observe", lambda self, small: followed.append(1) or observe(self, small)
    )
    stylizer = carrying(loaded(generator))
    shown(stylizer, clip[0], 0)
    settled(stylizer)
    stylizer.switch_to(loaded(HandGenerator()), 400)
    for number in range(1, 7):
        picture = shown(stylizer, clip[number], number)
        assert cv2.absdiff(picture, 255 - clip[number])[8:-8, 8:-40].mean() < 8
        settled(stylizer)
    assert stylizer.crossfade is not None
    assert len(followed) == 7
    stylizer.switch_to(loaded(HandGenerator(), mirror=True), 400)
    shown(stylizer, clip[7], 7)
    assert len(followed) == 9


def test_a_slow_generator_holds_up_no_frame_from_its_first_picture_on() -> None:
    clip = scenes.panning(3, 2)
    slow = HandGenerator(lambda frame: np.full_like(frame, 200))
    stylizer = LiveStylizer(SIZE)
    stylizer.period = 1 / 30
    plain = Preset.model_validate({"title": "Plain"})
    stylizer.switch_to(LoadedPreset(plain, None, SIZE), 0)
    shown(stylizer, clip[0], 0)
    slow.gate.clear()
    preset = Preset.model_validate({"title": "Slow", "coherence": 0.0})
    stylizer.switch_to(LoadedPreset(preset, slow, SIZE, 0.07), 0)  # type: ignore[arg-type]
    assert np.array_equal(shown(stylizer, clip[1], 1), clip[1])
    assert stylizer.waits_for_first
    slow.gate.set()
    settled(stylizer)
    assert np.abs(shown(stylizer, clip[2], 2).astype(int) - 200).max() <= 4


def test_the_motion_is_found_while_the_generator_works(
    generator: HandGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = scenes.panning(4, 3)
    stylizer = carrying(loaded(generator))
    stylizer._carries = stylizer._pace.is_too_slow = False
    shown(stylizer, clip[0], 0)
    observe = MotionEstimator.observe

    def observed(self: MotionEstimator, small: Pixels) -> Any:
        motion = observe(self, small)
        generator.gate.set()
        return motion

    monkeypatch.setattr(MotionEstimator, "observe", observed)
    for number, frame in enumerate(clip[1:], 1):
        generator.gate.clear()
        assert np.array_equal(shown(stylizer, frame, number), 255 - frame)
    assert generator.runs == 4


def test_a_crossfade_goes_on_from_frame_to_frame(generator: HandGenerator) -> None:
    still = scenes.standing(1)[0]
    white = HandGenerator(lambda frame: np.full_like(frame, 255))
    dark = HandGenerator(np.zeros_like)
    stylizer = carrying(loaded(dark))
    shown(stylizer, still, 0)
    stylizer.switch_to(loaded(white), 400)
    levels = []
    for number in range(1, 16):
        levels.append(int(shown(stylizer, still, number)[0, 0, 0]))
        settled(stylizer)
    steps = np.diff(levels)
    assert levels[-1] == 255
    assert (steps >= 0).all()
    assert steps.max() <= 40


def test_after_a_cut_the_new_scene_is_styled_and_nothing_carried(generator: HandGenerator) -> None:
    stylizer = carrying(loaded(generator))
    shown(stylizer, scenes.texture(1), 0)
    other = scenes.texture(9)
    assert np.abs(shown(stylizer, other, 1).astype(int) - (255 - other.astype(int))).max() <= 1


@pytest.mark.parametrize("carries", [True, False])
def test_a_still_picture_is_styled_once_a_second(generator: HandGenerator, carries: bool) -> None:
    preset = loaded(generator)
    stylizer = carrying(preset)
    stylizer._carries = stylizer._pace.is_too_slow = carries
    clip = scenes.standing(91, noise=1)
    for number, frame in enumerate(clip):
        shown(stylizer, frame, number)
        settled(stylizer)
    assert generator.runs <= 4
    preset.with_styles({})
    preset.with_strength(0.6)
    shown(stylizer, clip[0], 92)
    settled(stylizer)
    before = generator.runs
    moved = np.roll(clip[0], 9, axis=1)
    shown(stylizer, moved, 93)
    settled(stylizer)
    assert generator.runs == before + 1


def test_without_motion_every_frame_is_styled_by_itself(generator: HandGenerator) -> None:
    stylizer = LiveStylizer(SIZE, motion=False)
    stylizer.switch_to(loaded(generator, coherence=0.9), 0)
    for number, frame in enumerate(scenes.standing(5, noise=1)):
        assert np.array_equal(shown(stylizer, frame, number), 255 - frame)
    assert generator.runs == stylizer.counts.generated == 5
    assert stylizer.counts.reprojected == 0


def test_pictures_are_carried_while_the_generator_is_too_slow_and_no_longer(
    generator: HandGenerator,
) -> None:
    clip = scenes.panning(30, 1)
    stylizer = LiveStylizer(SIZE)
    stylizer.switch_to(loaded(generator), 0)
    stylizer.period = 1e-4
    for number in range(20):
        shown(stylizer, clip[number], number)
    assert stylizer.is_carrying
    stylizer.period = 100.0
    for number in range(200):
        shown(stylizer, clip[number % 2], number + 20)
    assert not stylizer.is_carrying
    free = LiveStylizer(SIZE, carries=False)
    free.switch_to(loaded(generator), 0)
    free.period = 1e-4
    for number in range(20):
        shown(free, clip[number], number)
    assert not free.is_carrying


def test_what_fails_in_the_generator_is_told_where_frames_are_styled() -> None:
    def fail(frame: Pixels) -> Pixels:
        raise ProviderError("the run failed")

    stylizer = LiveStylizer(SIZE)
    stylizer.switch_to(loaded(HandGenerator(fail)), 0)
    with pytest.raises(ProviderError, match="the run failed"):
        shown(stylizer, scenes.texture(1), 0)


def test_the_period_of_a_source_is_learnt_from_frames_that_were_left_out_too() -> None:
    period = SourcePeriod()
    for sequence in (0, 1, 4, 6, 7, 20):
        period.observe(sequence, sequence / 60)
    assert period.seconds == pytest.approx(1 / 60)
    period.observe(3, 0.0)
    assert period.seconds == pytest.approx(1 / 60)
