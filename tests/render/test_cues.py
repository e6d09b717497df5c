"""Cues as people write them."""

from __future__ import annotations

import pytest

from obs_stylizer.errors import UsageError
from obs_stylizer.frames import FrameSize
from obs_stylizer.render.cue_presets import shaped_as
from obs_stylizer.render.cues import Cue, in_order, parse_cue, parse_time
from obs_stylizer.render.director import warm_up_begin, warm_up_frames


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:10", 10), ("12.5", 12.5), ("1:02.5", 62.5), ("1:00:00", 3600), ("90", 90), ("0", 0)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:60", "1:60:00", "-1", "1:2:3:4", "1,5"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse_time(text)


def test_cues() -> None:
    assert parse_cue("0:10=great-wave") == Cue(10, "great-wave")
    assert parse_cue("0:25 = ink@0.6") == Cue(25, "ink", 0.6)
    assert str(parse_cue("1:02.5=ink@0.6")) == "1:02.500=ink@0.6"
    for wrong in ("0:10", "0:10=", "0:10=@0.5", "0:10=ink@x"):
        with pytest.raises(UsageError, match="is no cue"):
            parse_cue(wrong)
    with pytest.raises(UsageError, match="out of range"):
        parse_cue("0:10=ink@1.5")


def test_order_and_strength() -> None:
    cues = in_order([Cue(20, "c", 0.3), Cue(10, "b")], "a", 0.5)
    assert cues == (Cue(0, "a", 0.5), Cue(10, "b", 0.5), Cue(20, "c", 0.3))
    assert in_order([Cue(0, "b")], "a", None) == (Cue(0, "b"),)
    with pytest.raises(UsageError, match="two cues at once"):
        in_order([Cue(10, "b"), Cue(10, "c")], "a", None)


def test_warm_up_is_as_long_as_pictures_are_remembered() -> None:
    assert warm_up_frames([]) == warm_up_frames([0.0]) == 2
    assert warm_up_frames([0.3]) < warm_up_frames([0.3, 0.7]) < warm_up_frames([0.95])


def test_warm_up_begins_ahead_of_a_crossfade() -> None:
    cues = (Cue(0, "a"), Cue(10, "b"), Cue(10.2, "c"))
    fades = (0, 400, 400)
    assert warm_up_begin(9, cues, fades, 0.04) == 9
    # In the second crossfade, which began in the first.
    assert warm_up_begin(10.5, cues, fades, 0.04) == pytest.approx(9.92)
    assert warm_up_begin(11, cues, fades, 0.04) == 11
    assert warm_up_begin(0.01, cues, fades, 0.04) == 0


@pytest.mark.parametrize(
    ("picture", "size"),
    [((1280, 720), (640, 360)), ((1080, 1920), (360, 640)), ((500, 500), (480, 480))],
)
def test_process_size_follows_the_shape_of_the_clip(
    picture: tuple[int, int], size: tuple[int, int]
) -> None:
    assert shaped_as(FrameSize(*picture), FrameSize(640, 360)) == FrameSize(*size)
