"""Which rate is believed."""

from __future__ import annotations

from fractions import Fraction

import pytest

from obs_stylizer.sources.video_rate import believed_rate, measured_rate

MILLISECONDS = Fraction(1, 1000)


@pytest.mark.parametrize(
    "rate", [Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(60)]
)
def test_rates_come_back_from_rounded_times(rate: Fraction) -> None:
    stamps = [round(number / rate / MILLISECONDS) for number in range(1000)]
    assert measured_rate(stamps, MILLISECONDS) == rate


def test_an_odd_rate_stays_odd() -> None:
    measured = measured_rate([0, 100, 300, 700], MILLISECONDS)
    assert measured == pytest.approx(Fraction(30, 7), rel=0.001)


def test_one_moment_has_no_rate() -> None:
    assert measured_rate([5], MILLISECONDS) is None
    assert measured_rate([5, 5], MILLISECONDS) is None


def test_times_outdo_what_is_stated() -> None:
    assert believed_rate(Fraction(1000), Fraction(30)) == 30
    assert believed_rate(Fraction(90000), Fraction(24)) == 24
    assert believed_rate(Fraction(30000, 1001), Fraction(30)) == Fraction(30000, 1001)
    assert believed_rate(Fraction(1000), None) == 1000
    assert believed_rate(None, Fraction(12)) == 12
