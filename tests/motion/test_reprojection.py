from __future__ import annotations

import cv2
import numpy as np
import pytest

from obs_stylizer.frames import Pixels
from obs_stylizer.motion.coherence import Coherence
from obs_stylizer.motion.flow import MotionEstimator
from obs_stylizer.motion.reprojection import Reprojector
from tests.fakes import motion_scenes as scenes


def reprojected(clip: list[Pixels], styled: list[Pixels], every: int) -> list[Pixels]:
    """Pictures of all frames, with the generator's own for every so manieth."""
    estimator, reprojector = MotionEstimator(), Reprojector()
    made = []
    for number, frame in enumerate(clip):
        motion = estimator.observe(frame)
        assert estimator.before is not None
        reprojector.advance(motion, estimator.before)
        if number % every == 0 or not reprojector.has_picture:
            reprojector.announce()
            assert reprojector.take(styled[number])
        picture = reprojector.picture()
        assert picture is not None
        made.append(picture)
    return made


def held(styled: list[Pixels], every: int) -> list[Pixels]:
    return [styled[number - number % every] for number in range(len(styled))]


def psnr(made: list[Pixels], wanted: list[Pixels]) -> float:
    pairs = zip(made, wanted, strict=True)
    error = np.mean([np.square(one.astype(float) - other).mean() for one, other in pairs])
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("every", [2, 3, 5])
def test_a_carried_picture_is_nearer_to_the_true_one_than_a_held_one(every: int) -> None:
    clip = scenes.panning(13, 4)
    styled = scenes.flickering(clip, amount=6)
    gain = psnr(reprojected(clip, styled, every), styled) - psnr(held(styled, every), styled)
    assert gain >= 3.5


def test_what_a_disc_uncovers_is_filled_in_the_colours_of_the_style() -> None:
    clip = scenes.disc_crossing(4)
    styled = [255 - frame for frame in clip]
    made = reprojected(clip, styled, 9)[-1]
    uncovered = scenes.disc_mask(0) & ~scenes.disc_mask(3)

    assert np.abs(made[uncovered].astype(int) - styled[3][uncovered]).mean() < 30
    assert np.abs(styled[0][uncovered].astype(int) - styled[3][uncovered]).mean() > 60


def test_a_picture_that_comes_late_is_carried_to_the_frame_of_today() -> None:
    clip = scenes.panning(6, 4)
    styled = [255 - frame for frame in clip]
    estimator, reprojector = MotionEstimator(), Reprojector()
    for number, frame in enumerate(clip):
        motion = estimator.observe(frame)
        assert estimator.before is not None
        reprojector.advance(motion, estimator.before)
        if number == 1:
            reprojector.announce()
    assert reprojector.is_waiting
    assert reprojector.picture() is None
    assert reprojector.take(styled[1])
    picture = reprojector.picture()
    assert picture is not None
    assert psnr([picture], [styled[5]]) > psnr([styled[1]], [styled[5]]) + 6


def test_a_picture_from_before_a_cut_is_not_taken() -> None:
    estimator, reprojector = MotionEstimator(), Reprojector()
    for number in (1, 9):
        motion = estimator.observe(scenes.texture(number))
        assert estimator.before is not None
        reprojector.advance(motion, estimator.before)
        if number == 1:
            reprojector.announce()
    assert not reprojector.is_waiting
    assert not reprojector.take(255 - scenes.texture(1))
    assert reprojector.picture() is None


def interlaced(clip: list[Pixels]) -> list[Pixels]:
    woven = [frame.copy() for frame in clip[:-1]]
    for frame, later in zip(woven, clip[1:], strict=True):
        frame[1::2] = later[1::2]
    return woven


BAD_CLIPS = {
    "five frames a second": scenes.panning(8, 24),
    "variable rate": [scenes.panning(40, 2)[n] for n in (0, 1, 2, 9, 10, 22, 23, 24, 39)],
    "jumps back": [scenes.panning(30, 3)[n] for n in (20, 21, 22, 23, 0, 1, 2, 3)],
    "sizes that change": [scenes.texture(1, *size) for size in ((256, 192), (128, 96)) * 3],
    "black and white": [np.full((192, 256, 3), 255 * (n // 2 % 2), np.uint8) for n in range(8)],
    "fade from black": [(scenes.texture(2) * (n / 7)).astype(np.uint8) for n in range(8)],
    "noise only": list(np.random.default_rng(7).integers(0, 256, (6, 192, 256, 3), np.uint8)),
    "interlaced": interlaced(scenes.panning(9, 8)),
    "flashes": [np.clip(scenes.texture(2).astype(int) + 90 * (n % 3 == 1), 0, 255).astype(np.uint8)
                for n in range(8)],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_bad_clips_look_no_worse_than_without_motion(name: str) -> None:
    """The same clip both ways, against what the generator makes of each frame."""
    clip = BAD_CLIPS[name]
    # Without noise of its own, so that every difference is an artefact.
    styled = scenes.flickering(clip, amount=1e-3)
    estimator, coherence = MotionEstimator(), Coherence(0.85)
    calm = [
        coherence(estimator.observe(frame), made) for frame, made in zip(clip, styled, strict=True)
    ]
    for made, wanted in zip(calm, styled, strict=True):
        assert made.shape == wanted.shape
        assert np.abs(made.astype(int) - wanted).mean() < 6

    carried, kept = reprojected(clip, styled, 2), held(styled, 2)
    for made, old, wanted in zip(carried, kept, styled, strict=True):
        if made.shape == wanted.shape == old.shape:
            worst = np.abs(old.astype(int) - wanted).mean()
            assert np.abs(made.astype(int) - wanted).mean() <= worst + 1


def test_nothing_moves_where_nothing_moved() -> None:
    clip = scenes.standing(4)
    styled = [255 - frame for frame in clip]
    made = reprojected(clip, styled, 9)
    assert all(cv2.absdiff(picture, styled[0]).max() == 0 for picture in made)
