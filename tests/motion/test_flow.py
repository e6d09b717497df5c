from __future__ import annotations

import cv2
import numpy as np
import pytest

from obs_stylizer.frames import FrameSize
from obs_stylizer.motion.flow import LARGEST_WIDTH, MotionEstimator, alike, flow_size
from tests.fakes import motion_scenes as scenes


@pytest.mark.parametrize("step", [1.0, 3.0, 7.5])
def test_a_pan_is_followed(step: float) -> None:
    motion = scenes.motions(scenes.panning(3, step))[-1]

    inner = np.s_[6:-6, 6:-19]
    scale = scenes.WIDTH / motion.back.shape[1]
    right, down = cv2.split(motion.back[inner] * scale)
    assert np.abs(right - step).mean() < 0.35
    assert np.abs(down).mean() < 0.2
    assert motion.confidence[inner].mean() > 0.9
    assert not motion.cut
    assert not motion.still


def test_the_first_frame_counts_as_a_cut() -> None:
    assert scenes.motions(scenes.panning(1, 1))[0].cut


def test_what_stands_still_is_still_under_faint_noise_and_has_no_flow_under_strong_noise() -> None:
    assert scenes.motions(scenes.standing(2, noise=1.5))[1].still
    noisy = scenes.motions(scenes.standing(2, noise=8))[1]
    assert np.linalg.norm(noisy.back, axis=-1).mean() < 0.06
    assert noisy.confidence.mean() > 0.8


def test_a_cursor_ends_the_stillness() -> None:
    screen = np.full((720, 1280, 3), 250, np.uint8)
    cv2.putText(screen, "some words", (100, 300), cv2.FONT_HERSHEY_SIMPLEX, 2, (20, 20, 20), 3)
    moved = screen.copy()
    moved[400:418, 700:712] = 0
    estimator = MotionEstimator()
    estimator.observe(screen)
    assert estimator.observe(screen).still
    assert not estimator.observe(moved).still


def test_cuts_flashes_and_other_sizes_carry_nothing() -> None:
    estimator = MotionEstimator()
    estimator.observe(scenes.texture(1))
    assert estimator.observe(scenes.texture(9)).cut
    assert estimator.observe(np.full((scenes.HEIGHT, scenes.WIDTH, 3), 255, np.uint8)).cut
    assert estimator.observe(scenes.texture(9)).cut
    assert estimator.observe(scenes.texture(9, 128, 96)).cut
    estimator.reset()
    assert estimator.observe(scenes.texture(9, 128, 96)).cut


def test_where_a_disc_was_nothing_is_believed() -> None:
    clip = scenes.disc_crossing(4)
    motion = scenes.motions(clip)[-1]

    uncovered = scenes.disc_mask(2) & ~scenes.disc_mask(3)
    ground = ~(scenes.disc_mask(2) | scenes.disc_mask(3))
    confidence = cv2.resize(motion.confidence, (scenes.WIDTH, scenes.HEIGHT))
    assert confidence[uncovered].mean() < 0.2
    assert confidence[ground].mean() > 0.8


def test_noise_alone_is_a_cut_every_time() -> None:
    random = np.random.default_rng(0)
    clip = [random.integers(0, 256, (192, 320, 3)).astype(np.uint8) for _ in range(3)]
    assert all(motion.cut for motion in scenes.motions(clip))


@pytest.mark.parametrize("size", [(1920, 1080), (640, 360), (36, 16), (16, 640)])
def test_flow_is_found_on_small_frames(size: tuple[int, int]) -> None:
    found = flow_size(FrameSize(*size))
    assert found.width <= LARGEST_WIDTH
    assert min(found.width, found.height) >= 32
    frame = scenes.texture(1, *size)
    assert scenes.motions([frame, frame])[1].still


def test_frames_of_two_sizes_are_not_alike() -> None:
    assert not alike(scenes.texture(1), scenes.texture(1, 128, 96))


@pytest.mark.parametrize(("step", "least", "most"), [(1, 0.95, 1.0), (8, 0.0, 0.1)])
def test_a_fade_is_not_carried_through(step: int, least: float, most: float) -> None:
    random = np.random.default_rng(3)
    scene = cv2.GaussianBlur(random.integers(40, 120, (180, 320, 3), np.uint8), (0, 0), 3)
    estimator = MotionEstimator()
    estimator.observe(scene)
    brighter = np.asarray(scene + step, np.uint8)
    motion = estimator.observe(brighter)
    share = 1.0 if motion.still else float(motion.confidence.mean())
    assert least <= share <= most
