"""Clocks that jump, packet by packet."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from obs_stylizer.sources.continuity import Continuity
from tests.fakes.videos import numbered_pictures, write_video

TICK = Fraction(1, 1000)


def corrected(
    container: Any, moments: list[int], offsets: tuple[Fraction, ...] = ()
) -> tuple[list[int], list[Fraction]]:
    continuity = Continuity(container, offsets)
    found = []
    for moment in moments:
        packet: Any = av.Packet(b"picture")
        packet.stream, packet.time_base = container.streams.video[0], TICK
        packet.pts, packet.dts, packet.duration = moment + 80, moment, 40
        continuity.correct(packet)
        assert packet.pts == packet.dts + 80
        found.append(packet.dts)
    return found, continuity.offsets


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("stream") / "a.ts", numbered_pictures(12))


@pytest.mark.parametrize("second", [0, 500, 7_200_000])
def test_what_follows_a_jump_goes_on(stream: Path, second: int) -> None:
    first = [1000, 1040, 1080]
    with av.open(str(stream)) as container:
        found, offsets = corrected(container, [*first, second, second + 40])
    assert found == [1000, 1040, 1080, 1120, 1160]
    assert offsets == [Fraction(1120 - second, 1000)]


def test_a_picture_that_stands_is_no_jump(stream: Path) -> None:
    moments = [0, 40, 20_000, 20_040]
    with av.open(str(stream)) as container:
        assert corrected(container, moments) == (moments, [])


def test_sound_jumps_by_as_much_as_the_pictures(stream: Path) -> None:
    with av.open(str(stream)) as container:
        found, _ = corrected(container, [980, 1020, 10, 50], (Fraction(1),))
    assert found == [980, 1020, 1010, 1050]


def test_files_with_an_index_do_not_jump(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered_pictures(2))
    with av.open(str(path)) as container:
        assert corrected(container, [1000, 0, 40]) == ([1000, 0, 40], [])
