"""Premultiplied pictures, and what they were before."""

from __future__ import annotations

import numpy as np

from obs_stylizer.frames import Pixels
from obs_stylizer.obs_filter.alpha import premultiply, straight


def every_colour_with_every_alpha() -> Pixels:
    pixels = np.empty((256, 256, 4), np.uint8)
    pixels[..., :3] = np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis]
    pixels[..., 3] = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    return pixels


def test_opaque_pictures_stay_as_they_are() -> None:
    pixels = every_colour_with_every_alpha()
    pixels[..., 3] = 255
    rgb, alpha = straight(pixels)
    assert alpha is None
    assert np.array_equal(rgb, pixels[..., :3])


def test_colours_are_laid_in_linear_light() -> None:
    pixels = every_colour_with_every_alpha()
    premultiply(pixels, pixels[..., 3].copy())
    # As OBS itself blended (200, 100, 40) at half: measured in OBS 29.
    assert pixels[128, [200, 100, 40], 0].tolist() == [147, 72, 27]
    assert (pixels[0] == 0).all()
    assert np.array_equal(pixels[255, :, 0], np.arange(256))


def test_what_nobody_changed_comes_back_bit_for_bit() -> None:
    pixels = every_colour_with_every_alpha()
    premultiply(pixels, pixels[..., 3].copy())
    rgb, alpha = straight(pixels)
    assert alpha is not None
    again = np.empty_like(pixels)
    again[..., :3] = rgb
    premultiply(again, alpha)
    assert np.array_equal(again, pixels)


def test_colours_that_no_alpha_gives_do_not_overflow() -> None:
    rgb, _ = straight(every_colour_with_every_alpha())
    assert (np.diff(rgb[..., 0].astype(int), axis=1)[1:] >= 0).all()
    assert (rgb[0] == np.arange(256)[:, np.newaxis]).all()
