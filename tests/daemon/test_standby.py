"""The standby picture: something to look at, at any size, with any text."""

from __future__ import annotations

import numpy as np
import pytest

from obs_stylizer.daemon.standby import StandbyPicture
from obs_stylizer.frames import FrameSize


@pytest.mark.parametrize("size", [(16, 16), (1280, 720), (720, 1280), (8192, 16)])
@pytest.mark.parametrize("text", ["", "camera 0 is unplugged", "“Ünïcode” " * 40])
def test_any_size_and_text(size: tuple[int, int], text: str) -> None:
    frame_size = FrameSize(*size)
    picture = StandbyPicture(frame_size).at(0.0, text)
    assert picture.shape == frame_size.shape
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.max() > picture.min()


def test_dots_turn_and_text_is_shown() -> None:
    standby = StandbyPicture(FrameSize(640, 360))
    first = standby.at(0.0, "camera 0 is unplugged")
    assert standby.at(0.1, "camera 0 is unplugged") is first
    assert (standby.at(0.6, "camera 0 is unplugged") != first).any()
    lower = slice(int(360 * 0.6), 360)
    assert (standby.at(0.0, "")[lower] != first[lower]).any()
