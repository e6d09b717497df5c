"""The animated test picture."""

from __future__ import annotations

import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.frames import FrameSize
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.pattern import PatternScene, PatternSource


@pytest.mark.parametrize("size", [FrameSize(16, 16), FrameSize(640, 64), FrameSize(48, 640)])
def test_any_shape(size: FrameSize) -> None:
    source = PatternSource(SourceOptions(frame_size=size, paced=False, clock=ManualClock()))
    assert source.open().frame_size == size
    frame = source.read(0)
    assert frame is not None
    assert frame.pixels.shape == size.shape


def test_it_moves_and_is_the_same_each_time() -> None:
    size = FrameSize(320, 180)
    first, second = PatternScene(size), PatternScene(size)
    early, late = first.draw(0.5, 15).copy(), first.draw(3.5, 105).copy()
    assert np.array_equal(early, second.draw(0.5, 15))
    assert np.mean(early != late) > 0.1


def test_it_has_the_colours_and_gradients_that_show_a_fault() -> None:
    picture = PatternScene(FrameSize(640, 360)).draw(0, 0)
    bar = picture[360 - 25, :, :]
    for colour in ((191, 0, 0), (0, 191, 0), (0, 0, 191)):
        assert (bar == colour).all(axis=1).any()
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5000


def test_two_frames_in_a_row_do_not_share_memory() -> None:
    source = PatternSource(SourceOptions(frame_size=FrameSize(64, 48), clock=ManualClock()))
    source.open()
    first = source.read(1)
    second = source.read(1)
    assert first is not None
    assert second is not None
    assert not np.shares_memory(first.pixels, second.pixels)
