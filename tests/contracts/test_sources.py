"""What every source keeps to, whatever its frames come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.sources.base import Source, SourceOptions
from obs_stylizer.sources.open import make_source
from obs_stylizer.sources.spec import SourceSpec
from tests.fakes.camera import FakeDevice, fake_cameras
from tests.fakes.latent_models import write_latent_model
from tests.fakes.obs_filter import FakeFilter, drawn_by_obs
from tests.fakes.videos import numbered_pictures, write_video

SourceFactory = Callable[[SourceOptions], Source]

KINDS = [
    "pattern",
    "image",
    "file",
    "camera",
    "generator",
    "obs-filter",
    pytest.param("screen", marks=pytest.mark.screen),
]


@pytest.fixture(params=KINDS)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SourceFactory]:
    kind = request.param
    simple = ("pattern", "camera", "obs-filter", "screen")
    spec = SourceSpec.parse(kind) if kind in simple else None
    drawing = ExitStack()
    if kind == "image":
        picture = np.full((30, 40, 3), 90, np.uint8)
        cv2.imwrite(str(tmp_path / "picture.png"), picture)
        spec = SourceSpec.parse(f"image:{tmp_path / 'picture.png'}")
    elif kind == "file":
        path = write_video(tmp_path / "clip.mp4", numbered_pictures(6), fps=10)
        spec = SourceSpec.parse(f"file:{path}")
    elif kind == "generator":
        path = write_latent_model(tmp_path / "clouds.onnx")
        spec = SourceSpec.parse(f"generator:{path}")
    elif kind == "obs-filter":
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        drawing.enter_context(drawn_by_obs(FakeFilter(tmp_path / "obs-stylizer")))
    elif kind == "screen":
        request.getfixturevalue("x_display")
    assert spec is not None
    made: list[Source] = []

    def factory(options: SourceOptions) -> Source:
        made.append(make_source(spec, options))
        return made[-1]

    with drawing, fake_cameras(Fake=FakeDevice()):
        yield factory
        for source in made:
            source.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(100.0)


@pytest.fixture
def source(make: SourceFactory, clock: ManualClock) -> Source:
    return make(SourceOptions(frame_size=FrameSize(64, 48), fps=20, clock=clock))


def frames_of(source: Source, count: int) -> list[Frame]:
    frames = []
    for _ in range(count * 20):
        frame = source.read(0.2)
        if frame is not None:
            frames.append(frame)
        if len(frames) == count:
            return frames
    raise AssertionError(f"only {len(frames)} of {count} frames came")


def test_opening_tells_what_comes(source: Source) -> None:
    info = source.open()
    (frame,) = frames_of(source, 1)
    assert info.name
    assert frame.size == info.frame_size
    assert info.fps is None or info.fps > 0


def test_frames_are_rgb_pictures(source: Source) -> None:
    source.open()
    for frame in frames_of(source, 3):
        assert frame.pixels.dtype == np.uint8
        assert frame.pixels.shape == frame.size.shape
        assert frame.pixels.flags.c_contiguous


def test_numbers_count_up_and_times_do_not_run_back(source: Source) -> None:
    source.open()
    frames = frames_of(source, 5)
    numbers = [frame.sequence for frame in frames]
    times = [frame.captured_at for frame in frames]
    assert numbers[0] >= 0
    assert all(later > earlier for earlier, later in pairwise(numbers))
    assert times == sorted(times)


def test_a_frame_is_not_given_before_its_time(source: Source, clock: ManualClock) -> None:
    source.open()
    for frame in frames_of(source, 5):
        assert frame.captured_at <= clock.now()


def test_numbers_go_on_after_reopening(source: Source) -> None:
    source.open()
    last = frames_of(source, 2)[-1].sequence
    source.close()
    source.open()
    assert frames_of(source, 1)[0].sequence > last


def test_opening_twice_starts_afresh(source: Source) -> None:
    source.open()
    source.open()
    assert frames_of(source, 1)


def test_closing_may_happen_at_any_time(source: Source) -> None:
    source.close()
    source.open()
    source.close()
    source.close()


def test_a_closed_source_gives_nothing(source: Source) -> None:
    with pytest.raises(SourceError, match="not open"):
        source.read(0)
    source.open()
    source.close()
    with pytest.raises(SourceError, match="not open"):
        source.read(0)


def test_with_closes(source: Source) -> None:
    with source:
        source.open()
        frames_of(source, 1)
    with pytest.raises(SourceError):
        source.read(0)


def test_unpaced_frames_come_without_waiting(make: SourceFactory) -> None:
    clock = ManualClock(5.0)
    source = make(SourceOptions(frame_size=FrameSize(64, 48), paced=False, clock=clock))
    source.open()
    frames_of(source, 4)
    assert clock.now() == 5.0
