"""Figures of what motion does for styled pictures: how calm, how sharp, how near to the true ones.

* ``warp_error``: mean |y_t - warp(y_{t-1})|, 0 to 1, where the flow of the plain frames agrees
  forwards and backwards; ``warp_error_on_air`` is that of the pictures as coherence leaves them.
* ``sharpness_kept``: variance of the Laplacian on air as a share of the generator's own.
* ``psnr_every_2``, ``psnr_every_3``: of frames that were carried from a key picture at every
  second or third frame, against what the generator makes of them; ``held_…`` that of the key
  picture simply held. ``ssim_…`` likewise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels, size_of
from obs_stylizer.motion.coherence import DEFAULT_COHERENCE, FADE_IN, Coherence
from obs_stylizer.motion.flow import Field, MotionEstimator, grid
from obs_stylizer.motion.reprojection import Reprojector

_AGREES_WITHIN: Final = 1.0
_LIGHT: Final = (0.01 * 255) ** 2
_CONTRAST: Final = (0.03 * 255) ** 2


def on_air(
    frames: Sequence[Pixels], styled: Sequence[Pixels], share: float = DEFAULT_COHERENCE
) -> list[Pixels]:
    """Return the pictures of a clip as coherence leaves them.

    Args:
        frames: consecutive plain frames, uint8 (height, width, 3).
        styled: what a generator made of each, all of one size.
        share: the coherence, 0 to 1.
    """
    estimator, coherence = MotionEstimator(), Coherence(share)
    return [
        coherence(estimator.observe(frame), made)
        for frame, made in zip(frames, styled, strict=True)
    ]


def reprojected(frames: Sequence[Pixels], styled: Sequence[Pixels], every: int) -> list[Pixels]:
    """Return the pictures of a clip where only every so manieth frame is styled.

    Args:
        frames: consecutive plain frames, uint8 (height, width, 3).
        styled: what a generator made of each; those between are not looked at.
        every: frames from one key picture to the next.
    """
    estimator, coherence, reprojector = MotionEstimator(), Coherence(0.0), Reprojector()
    made = []
    for number, (frame, true) in enumerate(zip(frames, styled, strict=True)):
        motion = estimator.observe(frame)
        assert estimator.before is not None
        reprojector.advance(motion, estimator.before)
        if number % every == 0 or not reprojector.has_picture:
            reprojector.announce()
            reprojector.take(true)
        picture = reprojector.picture()
        assert picture is not None
        age = number % every
        share = FADE_IN[age] if age < len(FADE_IN) else 0.0
        made.append(coherence.fade(motion, picture, share) if share else coherence.show(picture))
    return made


def motion_figures(
    frames: Sequence[Pixels], styled: Sequence[Pixels], share: float = DEFAULT_COHERENCE
) -> dict[str, float]:
    """Return the figures of the module's description.

    Args:
        frames: at least four consecutive plain frames, uint8 (height, width, 3).
        styled: what a generator made of each, of the same size.
        share: the coherence, 0 to 1.
    """
    calm = on_air(frames, styled, share)
    raw_error, calm_error = warp_errors(frames, [styled, calm])
    figures = {
        "warp_error": raw_error,
        "warp_error_on_air": calm_error,
        "sharpness_kept": sharpness(calm) / max(1e-9, sharpness(styled)),
    }
    for every in (2, 3):
        made = reprojected(frames, styled, every)
        between = [number for number in range(every, len(frames)) if number % every]
        for name, metric in (("psnr", psnr), ("ssim", ssim)):
            pairs = [(made[n], styled[n - n % every], styled[n]) for n in between]
            figures[f"{name}_every_{every}"] = _mean(metric(p, true) for p, _, true in pairs)
            figures[f"held_{name}_every_{every}"] = _mean(metric(h, true) for _, h, true in pairs)
    return figures


def warp_errors(frames: Sequence[Pixels], clips: Sequence[Sequence[Pixels]]) -> tuple[float, ...]:
    """Return the warp error of each of some clips of pictures, which move as ``frames`` do."""
    errors: list[list[float]] = []
    for number, (before, now) in enumerate(pairwise(frames), 1):
        back, forth = accurate_flow(now, before), accurate_flow(before, now)
        places = cv2.add(grid(size_of(now)), back)
        home = cv2.add(back, _carried(forth, places))
        inside = (places >= 0) & (places <= (now.shape[1] - 1, now.shape[0] - 1))
        agrees = (np.square(home).sum(-1) < _AGREES_WITHIN**2) & inside.all(-1)
        if agrees.any():
            errors.append(
                [
                    float(
                        np.abs(
                            _carried(made[number - 1].astype(np.float32), places) - made[number]
                        )[agrees].mean()
                        / 255
                    )
                    for made in clips
                ]
            )
    if not errors:
        return (0.0,) * len(clips)
    return tuple(float(error) for error in np.mean(errors, axis=0))


def sharpness(pictures: Sequence[Pixels]) -> float:
    """Return the mean variance of the Laplacian."""
    grey = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures)
    return _mean(cv2.Laplacian(picture, cv2.CV_32F).var() for picture in grey)


def psnr(made: Pixels, true: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB; at most 100, that of equal pictures."""
    return min(100.0, float(cv2.PSNR(made, true)))


def ssim(made: Pixels, true: Pixels) -> float:
    """Return the structural similarity of the luma (Z. Wang et al., IEEE TIP 2004)."""
    one, other = (
        cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (made, true)
    )
    mean_one, mean_other = _soft(one), _soft(other)
    both = _soft(one * other) - mean_one * mean_other
    spread = _soft(one * one) - mean_one**2 + _soft(other * other) - mean_other**2
    light = (2 * mean_one * mean_other + _LIGHT) / (mean_one**2 + mean_other**2 + _LIGHT)
    return float((light * (2 * both + _CONTRAST) / (spread + _CONTRAST)).mean())


def _soft(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(picture, (11, 11), 1.5))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def accurate_flow(first: Pixels, second: Pixels) -> Field:
    """Return where each pixel of ``first`` went in ``second``: slower, and at full size."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined]
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    flow: Field = search.calc(grey[0], grey[1], None)
    return flow


def _carried(picture: NDArray[np.float32], places: Field) -> NDArray[np.float32]:
    return np.asarray(
        cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
