"""The governor on a machine whose speed is known."""

from __future__ import annotations

from itertools import pairwise

from obs_stylizer.realtime.governor import (
    LITE_QUALITY_LEVELS,
    QUALITY_LEVELS,
    Governor,
    QualityLevel,
)


def run(governor: Governor, full: float, fps: float, seconds: int, start: int = 0) -> list[float]:
    """A generator that takes ``full`` seconds at full size; return the scale of each second."""
    quality, scales = governor.quality_for("g"), []
    for now in range(start, start + seconds):
        wanted = governor.observe(float(now), "g", full * quality.scale**2, fps)
        quality = quality if wanted is None else wanted
        scales.append(quality.scale)
    return scales


def run_lite(
    governor: Governor, full: float, lite: float, seconds: int, start: int = 0
) -> list[QualityLevel]:
    """One that has a lite variant of ``lite`` seconds, at 30 fps; return each second's quality."""
    quality, qualities = governor.quality_for("g"), []
    for now in range(start, start + seconds):
        busy = (lite if quality.lite else full) * quality.scale**2
        wanted = governor.observe(float(now), "g", busy, 30, has_lite=True)
        quality = quality if wanted is None else wanted
        qualities.append(quality)
    return qualities


def test_quick_machine_keeps_the_full_size() -> None:
    assert set(run(Governor(), 0.012, 30, 60)) == {1.0}


def test_slow_machine_goes_down_at_once_to_what_fits_and_stays() -> None:
    scales = run(Governor(), 0.045, 30, 120)
    assert scales[:2] == [1.0, 1.0]
    # 45 ms × 0.65² is 19 ms; 0.8² would be 29 ms, which leaves no room for anything else.
    assert set(scales[3:]) == {0.65}


def test_hopeless_machine_takes_the_smallest() -> None:
    assert run(Governor(), 2.0, 30, 10)[-1] == QUALITY_LEVELS[-1].scale


def test_goes_up_again_when_the_machine_is_free_again() -> None:
    governor = Governor()
    run(governor, 0.045, 30, 10)
    scales = run(governor, 0.012, 30, 200, start=10)
    assert scales[-1] == 1.0
    assert scales == sorted(scales)


def test_each_try_upward_waits_longer() -> None:
    governor = Governor()
    now, quality, ups = 0.0, QualityLevel(), []
    for _ in range(2000):
        # Headroom at the smaller size, too slow at the full one: the worst case for flapping.
        busy = 0.036 if quality.scale == 1.0 else 0.010
        wanted = governor.observe(now, "g", busy, 30)
        if wanted is not None:
            if wanted.scale > quality.scale:
                ups.append(now)
            quality = wanted
        now += 1
    pauses = [second - first for first, second in pairwise(ups)]
    assert len(ups) < 15
    assert pauses == sorted(pauses)


def test_a_short_hitch_changes_nothing() -> None:
    governor = Governor()
    for now in range(20):
        assert governor.observe(float(now), "g", 0.2 if now == 10 else 0.01, 30) is None


def test_each_generator_has_its_own_scale() -> None:
    governor = Governor()
    run(governor, 0.045, 30, 10)
    assert governor.quality_for("g") == QualityLevel(0.65)
    assert governor.quality_for("other") == QualityLevel()


def test_the_lite_variant_goes_before_a_smaller_size() -> None:
    assert run_lite(Governor(), 0.045, 0.020, 120)[3:] == [QualityLevel(lite=True)] * 117
    assert run_lite(Governor(), 0.085, 0.042, 10)[-1] == QualityLevel(0.8, lite=True)
    assert run_lite(Governor(), 2.0, 0.9, 20)[-1] == LITE_QUALITY_LEVELS[-1]


def test_the_full_generator_comes_back_when_the_machine_is_free_again() -> None:
    governor = Governor()
    run_lite(governor, 0.045, 0.020, 10)
    assert run_lite(governor, 0.012, 0.006, 60, start=10)[-1] == QualityLevel()


def test_a_lite_variant_that_is_deleted_leaves_the_smaller_sizes() -> None:
    governor = Governor()
    run_lite(governor, 0.045, 0.020, 10)
    # The worker, without the file, runs the full one.
    found = [governor.observe(float(now), "g", 0.045, 30) for now in range(10, 14)]
    assert QualityLevel(0.65) in found


def test_a_generator_of_one_size_is_let_be() -> None:
    governor = Governor()
    assert run(governor, 0.1, 30, 4)[-1] == QUALITY_LEVELS[-1].scale
    governor.keep("g", QUALITY_LEVELS[1])
    assert governor.quality_for("g") == QUALITY_LEVELS[1]
    assert set(run(governor, 0.1, 30, 60, start=10)) == {QUALITY_LEVELS[1].scale}
    assert governor.observe(100.0, "other", 1.0, 30) is None
    assert governor.observe(103.0, "other", 1.0, 30) == QUALITY_LEVELS[-1]
