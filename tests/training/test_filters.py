"""The slow filters that teach looks, on pictures drawn for the purpose."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from obs_stylizer.frames import Pixels
from obs_stylizer.training import filters
from obs_stylizer.training.filters.cel import minimise_gradients
from obs_stylizer.training.filters.flow_field import edge_flow, flow_lines, smooth_along
from obs_stylizer.training.teachers import FILTERS

pytestmark = pytest.mark.training


def two_areas(noise: float = 8.0) -> Pixels:
    """A dark disc on a light ground, both noisy."""
    rows, columns = np.indices((72, 96))
    inside = np.hypot(rows - 36, columns - 48) < 20
    picture = np.where(inside[..., None], (60, 70, 150), (210, 190, 150)).astype(np.float64)
    picture += np.random.default_rng(0).normal(0, noise, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_keeps_size_and_type_and_is_repeatable(name: str) -> None:
    picture = two_areas()
    made = FILTERS[name](picture)
    assert made.shape == picture.shape
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(made, FILTERS[name](picture))
    assert np.abs(made.astype(int) - picture).mean() > 3


@pytest.mark.parametrize("filter_", [filters.cel, filters.oil, filters.watercolour])
def test_areas_become_flat_and_the_border_between_them_stays(
    filter_: Callable[[Pixels], Pixels],
) -> None:
    picture = two_areas()
    made = filter_(picture)
    ground = (slice(4, 14), slice(4, 90))
    assert made[ground].std(axis=(0, 1)).mean() < 0.5 * picture[ground].std(axis=(0, 1)).mean()
    assert abs(int(made[36, 48].mean()) - int(made[8, 8].mean())) > 40


def test_minimised_gradients_are_few_and_whole() -> None:
    picture = two_areas().astype(np.float32) / 255
    flat = minimise_gradients(picture, 0.02)
    assert flat.shape == picture.shape
    steps = np.abs(np.diff(flat, axis=1)).sum(2)
    before = np.abs(np.diff(picture, axis=1)).sum(2)
    assert (steps > 0.02).mean() < 0.25 * (before > 0.02).mean()
    assert steps.max() > 0.3


def test_the_flow_runs_along_edges() -> None:
    upright: NDArray[np.float32] = np.zeros((40, 40), np.float32)
    upright[:, 20:] = 1
    flow, agreement = edge_flow(upright, 2.0)
    assert abs(flow[20, 20, 1]) > 0.99
    assert agreement[20, 20] > 0.99
    lying = np.ascontiguousarray(upright.T)
    assert abs(edge_flow(lying, 2.0)[0][20, 20, 0]) > 0.99


def test_smoothing_along_an_edge_leaves_the_edge() -> None:
    noisy = np.random.default_rng(1).normal(0, 0.1, (40, 40)).astype(np.float32)
    noisy[:, 20:] += 1
    smoothed = smooth_along(noisy, edge_flow(cv2.GaussianBlur(noisy, (0, 0), 2), 4.0)[0], 4.0)
    assert smoothed[10:30, 5:15].std() < 0.75 * noisy[10:30, 5:15].std()
    assert smoothed[10:30, 24:30].mean() - smoothed[10:30, 10:16].mean() > 0.9


def test_lines_are_drawn_where_dark_meets_light_and_nowhere_else() -> None:
    brightness = np.full((40, 40), 0.8, np.float32)
    brightness[:, 18:21] = 0.2
    lines = flow_lines(brightness, edge_flow(brightness, 2.0)[0], 1.0, 0.98, 60, 3.0)
    assert lines[20, 19] < 0.3
    assert lines[20, 5] > 0.9
