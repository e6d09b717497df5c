from __future__ import annotations

import cv2
import numpy as np
import pytest

from obs_stylizer.frames import Pixels
from obs_stylizer.motion.coherence import DEFAULT_COHERENCE, Coherence
from tests.fakes import motion_scenes as scenes


def calmed(clip: list[Pixels], styled: list[Pixels], share: float = DEFAULT_COHERENCE):
    filter_ = Coherence(share)
    motions = scenes.motions(clip)
    return [filter_(motion, made).copy() for motion, made in zip(motions, styled, strict=True)]


@pytest.mark.parametrize("step", [1.3, 4.0])
def test_strokes_that_flicker_are_calmed_and_stay_sharp(step: float) -> None:
    clip = scenes.panning(16, step)
    raw = scenes.flickering(clip)
    calm = calmed(clip, raw)

    ratio = scenes.warp_error(clip, calm[4:], step) / scenes.warp_error(clip, raw[4:], step)
    assert ratio <= 0.5
    assert scenes.sharpness(calm[4:]) >= 0.85 * scenes.sharpness(raw[4:])


def test_more_coherence_is_calmer_and_none_leaves_the_picture_alone() -> None:
    clip = scenes.panning(10, 2)
    raw = scenes.flickering(clip)
    errors = [scenes.warp_error(clip, calmed(clip, raw, share), 2) for share in (0, 0.4, 0.9)]

    assert errors[0] > errors[1] > errors[2]
    assert all(np.array_equal(*pair) for pair in zip(raw, calmed(clip, raw, 0), strict=True))


def test_a_still_noisy_picture_does_not_crawl() -> None:
    clip = scenes.standing(14, noise=6)
    raw = scenes.flickering(clip)
    calm = calmed(clip, raw)

    assert scenes.change(calm[6:]) < 0.45 * scenes.change(raw[6:])
    assert scenes.sharpness(calm[6:]) >= 0.85 * scenes.sharpness(raw[6:])


def test_a_disc_leaves_no_ghost() -> None:
    clip = scenes.disc_crossing(10)
    raw = scenes.flickering(clip, amount=4)
    calm = calmed(clip, raw)

    for number in range(4, 10):
        gone = scenes.disc_mask(number - 2) & ~scenes.disc_mask(number)
        away = np.abs(calm[number][gone].astype(int) - raw[number][gone]).mean()
        usual = np.abs(raw[number][gone].astype(int) - raw[number - 1][gone]).mean()
        assert away <= 1.2 * usual


def test_nothing_is_smeared_over_a_cut() -> None:
    clip = [*scenes.panning(4, 2), *[scenes.texture(8)] * 2]
    raw = scenes.flickering(clip)

    assert np.array_equal(calmed(clip, raw)[4], raw[4])


def test_text_that_is_scrolled_stays_readable() -> None:
    page = np.full((700, scenes.WIDTH, 3), 245, np.uint8)
    for line in range(40):
        words = f"line {line} of a long text"
        place = (6, 20 + 17 * line)
        cv2.putText(page, words, place, cv2.FONT_HERSHEY_PLAIN, 0.9, (20, 20, 20))
    clip = [page[12 * n : 12 * n + scenes.HEIGHT].copy() for n in range(20)]
    made = calmed(clip, clip)

    for frame, picture in zip(clip, made, strict=True):
        assert np.abs(frame.astype(int) - picture).mean() < 4
    assert scenes.sharpness(made) >= 0.85 * scenes.sharpness(clip)


def test_another_goes_on_from_the_last_picture() -> None:
    clip = scenes.panning(8, 2)
    raw = scenes.flickering(clip)
    motions = scenes.motions(clip)
    first, second = Coherence(0.8), Coherence(0.8)
    for motion, made in zip(motions[:4], raw[:4], strict=True):
        first(motion, made)
    second.recall(first.last)
    for motion, made in zip(motions[4:], raw[4:], strict=True):
        assert np.array_equal(first(motion, made), second(motion, made))
