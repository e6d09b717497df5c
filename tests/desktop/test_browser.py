"""Chromium shows our camera."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from obs_stylizer.frames import FrameSize
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.pipewire_camera import PipewireCameraSink
from tests.benchmarks.bench_desktop import SIZE, feeding
from tests.benchmarks.camera_pages import read_with_chromium
from tests.fakes.wayland.desktop import WaylandDesktop
from tests.fakes.wayland.painter import GREEN, RED


@pytest.mark.browser
def test_chromium_shows_the_camera_in_its_colours(desktop: WaylandDesktop) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed (apt install chromium)")
    assert FrameSize(1280, 720) == SIZE
    with PipewireCameraSink() as sink:
        sink.open(SinkFormat(SIZE, 30))
        with feeding(sink):
            seen = read_with_chromium()
    assert seen.get("camera") == "obs-stylizer", seen
    assert seen["size"] == "1280x720"
    assert np.abs(np.subtract(seen["left"], RED)).max() <= 4
    assert np.abs(np.subtract(seen["right"], GREEN)).max() <= 4
