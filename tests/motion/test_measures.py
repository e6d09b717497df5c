from __future__ import annotations

import numpy as np
import pytest

from obs_stylizer.motion.measures import motion_figures, ssim, warp_errors
from tests.fakes import motion_scenes as scenes


def test_figures_of_a_clip_that_flickers() -> None:
    clip = scenes.panning(9, 3)
    figures = motion_figures(clip, scenes.flickering(clip, amount=6))

    assert figures["warp_error_on_air"] < 0.6 * figures["warp_error"]
    assert figures["sharpness_kept"] > 0.8
    for every in (2, 3):
        for name in ("psnr", "ssim"):
            assert figures[f"{name}_every_{every}"] > figures[f"held_{name}_every_{every}"]


def test_a_clip_that_moves_with_its_frames_has_next_to_no_warp_error() -> None:
    clip = scenes.panning(4, 3)
    error, still = warp_errors(clip, [[255 - frame for frame in clip], [clip[0]] * 4])
    assert error < 0.01
    assert still > 5 * error


def test_ssim_of_a_picture_with_itself_is_one() -> None:
    picture = scenes.texture(1)
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(picture, np.full_like(picture, 128)) < 0.4
