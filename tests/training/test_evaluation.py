"""Evaluation: figures whose answer is known, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from obs_stylizer.errors import TrainingError
from obs_stylizer.frames import Pixels
from obs_stylizer.training.evaluation import (
    StyleMetric,
    evaluate_styles,
    summarise,
    write_report,
)
from obs_stylizer.training.features import Vgg19
from obs_stylizer.training.flow import consistent, follow, optical_flow, warp_error

from .conftest import LAYERS, scene

pytestmark = pytest.mark.training


@pytest.fixture
def style_metric(data: Path, monkeypatch: pytest.MonkeyPatch) -> StyleMetric:
    monkeypatch.setattr("obs_stylizer.training.evaluation.CONTENT_LAYER", "conv2_1")
    weights = Vgg19.load(data / "features.npz")
    return StyleMetric(weights, tuple(LAYERS)[:2])


def textured(height: int, width: int) -> Pixels:
    import cv2

    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), 3) * 3, np.uint8)


def test_the_style_ratio_of_no_style_is_one_and_of_the_style_nothing(
    style_metric: StyleMetric,
) -> None:
    source, style = style_metric.examine(scene(1)), style_metric.examine(scene(4))
    assert style_metric.style_ratio(source, source, style) == pytest.approx(1, abs=1e-5)
    assert style_metric.style_ratio(style, source, style) == pytest.approx(0, abs=1e-5)


def test_flow_finds_a_known_shift() -> None:
    wide = textured(120, 200)
    before, now = wide[:, 10:170], wide[:, 6:166]
    # What is at x now was at x + 6 - 10 in the frame before.
    back = optical_flow(np.ascontiguousarray(now), np.ascontiguousarray(before))
    middle = back[20:100, 20:140]
    assert np.median(middle[..., 0]) == pytest.approx(-4, abs=0.2)
    assert np.median(middle[..., 1]) == pytest.approx(0, abs=0.2)
    assert consistent(back, -back)[20:100, 20:140].mean() > 0.9


def test_following_no_flow_changes_nothing() -> None:
    picture = scene(2).astype(np.float32)
    assert np.array_equal(follow(picture, np.zeros((80, 96, 2), np.float32)), picture)


def test_warp_error_of_what_moves_along_and_of_what_flickers() -> None:
    wide = textured(120, 200)
    clip = [np.ascontiguousarray(wide[:, start : start + 160]) for start in (12, 9, 6)]
    steady, own = warp_error(clip, clip)
    assert steady == own < 0.03
    flickering = [np.clip(frame.astype(int) + 40 * (n % 2), 0, 255) for n, frame in enumerate(clip)]
    worse, _ = warp_error(clip, [frame.astype(np.uint8) for frame in flickering])
    assert worse > own + 0.08


def test_the_report(style_metric: StyleMetric, tmp_path: Path) -> None:
    found = evaluate_styles(
        lambda frame, mix: frame,
        {"same": scene(4)},
        style_metric,
        [scene(1)],
        [[scene(1), scene(1)], [scene(1)] * 6],
    )
    figures = found["same"].figures
    assert figures["sharpness_kept"] == pytest.approx(1, abs=0.01)
    assert figures["ssim_every_2"] == pytest.approx(figures["held_ssim_every_2"]) == 1
    assert figures["style_ratio"] == pytest.approx(1, abs=1e-5)
    assert figures["content_kept"] == pytest.approx(1, abs=1e-5)
    assert figures["warp_error"] == figures["source_warp_error"] == 0
    assert figures["noise_error"] == figures["source_noise_error"] > 0.01
    page = write_report(tmp_path / "report", "Same & <plain>", found)
    text = page.read_text(encoding="utf-8")
    assert "Same &amp; &lt;plain&gt;" in text
    assert text.count("data:image/jpeg") == 2
    document = json.loads((tmp_path / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert document["summary"] == summarise(found)


def test_nothing_to_evaluate_on(style_metric: StyleMetric) -> None:
    with pytest.raises(TrainingError, match="no pictures to evaluate"):
        evaluate_styles(lambda frame, mix: frame, {"a": scene(1)}, style_metric, [])
