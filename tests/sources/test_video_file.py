"""Video files: their own rate, over and again, and every way in which they are broken."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import SourceEndedError, SourceError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.sources.base import SourceOptions
from obs_stylizer.sources.video_file import VideoFileSource
from tests.fakes.videos import number_of, numbered_pictures, write_sound, write_video


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(50.0)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten pictures at ten a second."""
    return write_video(tmp_path / "clip.mp4", numbered_pictures(10), fps=10)


def read(source: VideoFileSource, timeout: float = 1.0) -> Frame:
    frame = source.read(timeout)
    assert frame is not None
    return frame


def all_of(path: Path) -> list[Frame]:
    """Every frame of a file, read once, as fast as it goes."""
    source = VideoFileSource(path, SourceOptions(paced=False, clock=ManualClock()), once=True)
    source.open()
    frames = []
    with source, suppress(SourceEndedError):
        while len(frames) < 1000:
            frames.append(read(source))
    assert len(frames) < 1000, "it did not end"
    return frames


def test_opening_tells_size_rate_and_codec(clip: Path) -> None:
    with VideoFileSource(clip, SourceOptions()) as source:
        info = source.open()
    assert info.name == "clip.mp4"
    assert info.frame_size == FrameSize(64, 48)
    assert info.fps == pytest.approx(10)
    assert "h264" in info.detail


def test_frames_fall_due_at_their_own_rate(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock))
    source.open()
    frames = [read(source) for _ in range(5)]
    assert [frame.captured_at for frame in frames] == pytest.approx([50, 50.1, 50.2, 50.3, 50.4])
    assert [number_of(frame.pixels) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_it_starts_over_without_losing_the_beat(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock))
    source.open()
    frames = [read(source) for _ in range(25)]
    assert [number_of(frame.pixels) for frame in frames] == [n % 10 for n in range(25)]
    assert [frame.captured_at - 50 for frame in frames] == pytest.approx(
        [n / 10 for n in range(25)], abs=0.002
    )
    assert [frame.sequence for frame in frames] == list(range(25))


def test_once_ends(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock), once=True)
    source.open()
    for _ in range(10):
        read(source)
    with pytest.raises(SourceEndedError, match=r"clip\.mp4 has ended"):
        source.read(1)


def test_nothing_comes_before_its_time(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock))
    source.open()
    read(source)
    assert source.read(0.04) is None
    assert clock.now() == pytest.approx(50.04)
    assert number_of(read(source, 0.1).pixels) == 1


def test_a_slow_reader_gets_the_newest_and_the_gap_shows(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock))
    source.open()
    read(source)
    clock.advance(0.45)
    frame = read(source)
    assert number_of(frame.pixels) == 4
    assert frame.sequence == 4
    assert frame.captured_at == pytest.approx(50.4)


def test_unpaced_gives_every_frame_however_slow_the_reader(clip: Path) -> None:
    clock = ManualClock()
    source = VideoFileSource(clip, SourceOptions(paced=False, clock=clock), once=True)
    source.open()
    numbers = []
    for _ in range(10):
        numbers.append(number_of(read(source).pixels))
        clock.advance(3)
    assert numbers == list(range(10))


def test_after_a_long_absence_the_film_goes_on_where_it_was(clip: Path, clock: ManualClock) -> None:
    source = VideoFileSource(clip, SourceOptions(clock=clock))
    source.open()
    read(source)
    clock.advance(3600)
    frame = read(source)
    assert number_of(frame.pixels) == 1
    assert frame.captured_at == pytest.approx(clock.now())


@pytest.mark.parametrize("fps", [5, 120])
def test_slow_and_fast_files(tmp_path: Path, clock: ManualClock, fps: int) -> None:
    path = write_video(tmp_path / "clip.mkv", numbered_pictures(12), fps=fps)
    source = VideoFileSource(path, SourceOptions(clock=clock))
    assert source.open().fps == pytest.approx(fps)
    frames = [read(source) for _ in range(12)]
    assert frames[-1].captured_at - 50 == pytest.approx(11 / fps, abs=0.002)


def test_a_variable_rate_is_kept(tmp_path: Path, clock: ManualClock) -> None:
    times = [0, 0.05, 0.3, 0.35, 0.9]
    path = write_video(tmp_path / "vfr.mkv", numbered_pictures(5), times=times)
    source = VideoFileSource(path, SourceOptions(clock=clock))
    source.open()
    assert [read(source).captured_at - 50 for _ in range(5)] == pytest.approx(times, abs=0.002)


def test_a_picture_that_stands_long_is_given_again(tmp_path: Path, clock: ManualClock) -> None:
    path = write_video(tmp_path / "slides.mkv", numbered_pictures(2), times=[0, 3.5])
    source = VideoFileSource(path, SourceOptions(clock=clock))
    source.open()
    frames = [read(source, 2) for _ in range(5)]
    assert [number_of(frame.pixels) for frame in frames] == [0, 0, 0, 0, 1]
    assert [frame.captured_at - 50 for frame in frames] == pytest.approx([0, 1, 2, 3, 3.5])


def test_closing_while_it_waits_ends_the_waiting(clip: Path) -> None:
    class ClosingClock(ManualClock):
        def wait_until(self, moment: float) -> None:
            super().wait_until(moment)
            source.close()

    source = VideoFileSource(clip, SourceOptions(clock=ClosingClock()))
    source.open()
    assert source.read(1) is None


# Colour ----------------------------------------------------------------------------------------


def test_limited_range_is_spread_to_full_and_small_pictures_are_bt601(tmp_path: Path) -> None:
    # Y, Cb, Cr of pure green in BT.601, limited range; BT.709 would make it a blueish green.
    path = tmp_path / "green.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"crf": "1"}
        planes = np.full((72, 64), 145, np.uint8)
        planes[48:60], planes[60:] = 54, 34
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (shown,) = all_of(path)
    assert shown.pixels[20, 20].tolist() == pytest.approx([0, 255, 0], abs=3)


def test_black_and_white_are_black_and_white(tmp_path: Path) -> None:
    pictures = [np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)]
    black, white = all_of(write_video(tmp_path / "bw.mp4", pictures))
    assert black.pixels.max() <= 2
    assert white.pixels.min() >= 253


# Shapes ----------------------------------------------------------------------------------------


def test_odd_sizes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mkv", numbered_pictures(2, 33, 17), codec="ffv1")
    assert {frame.pixels.shape for frame in all_of(path)} == {(17, 33, 3)}


def test_a_size_that_changes_in_the_middle(tmp_path: Path) -> None:
    first = write_video(tmp_path / "a.ts", numbered_pictures(4, 64, 48))
    second = write_video(tmp_path / "b.ts", numbered_pictures(4, 96, 32))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    frames = all_of(joined)
    assert [str(frame.size) for frame in frames] == ["64x48"] * 4 + ["96x32"] * 4
    assert all(frame.pixels.flags.c_contiguous for frame in frames)
    stamps = [frame.timestamp or 0.0 for frame in frames]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ("turn", "corner"),
    [(90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))],
)
def test_the_camera_was_turned(tmp_path: Path, turn: int, corner: tuple[int, int]) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16] = 255  # the upper left corner of what the sensor saw
    path = write_video(tmp_path / "turned.mp4", [picture] * 2)
    _turn_clockwise(path, turn)
    source = VideoFileSource(path, SourceOptions())
    with source:
        info = source.open()
        frame = read(source)
    assert frame.size == info.frame_size
    assert frame.size == (FrameSize(64, 48) if turn == 180 else FrameSize(48, 64))
    # Seen upright, a quarter turn clockwise has brought it to the upper right.
    assert frame.pixels[corner[0], corner[1]].tolist() == pytest.approx([255] * 3, abs=12)
    assert frame.pixels[-1 - corner[0], -1 - corner[1]].max() < 12


def _turn_clockwise(path: Path, degrees: int) -> None:
    """Write into an MP4 by how much a player has to turn it, as telephones do."""
    matrices = {
        90: (0, 1, 0, -1, 0, 0, 48, 0, 0x4000),
        180: (-1, 0, 0, 0, -1, 0, 64, 48, 0x4000),
        270: (0, -1, 0, 1, 0, 0, 0, 64, 0x4000),
    }
    numbers = [
        value if index == 8 else value & 0xFFFF for index, value in enumerate(matrices[degrees])
    ]
    words = [
        numbers[8] << 16 if index == 8 else (number << 16) for index, number in enumerate(numbers)
    ]
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = b"".join((word & 0xFFFFFFFF).to_bytes(4, "big") for word in words)
    path.write_bytes(bytes(data))


# Broken files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "there is no file"),
        ("text.mp4", b"this is no video at all" * 50, "is no video"),
        ("empty.mp4", b"", "is no video"),
    ],
)
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        VideoFileSource(path, SourceOptions()).open()
    assert name in caught.value.message
    assert caught.value.remedy


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        VideoFileSource(tmp_path, SourceOptions()).open()


def test_only_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "song.mp4")
    with pytest.raises(SourceError, match=r"no picture in song\.mp4"):
        VideoFileSource(path, SourceOptions()).open()


def test_not_one_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "nothing.mkv", [])
    with pytest.raises(SourceError, match=r"nothing\.mkv"):
        VideoFileSource(path, SourceOptions()).open()


def test_cut_off_before_the_index(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:600])
    with pytest.raises(SourceError, match="cut off"):
        VideoFileSource(clip, SourceOptions()).open()


def test_cut_off_in_the_middle_plays_to_the_cut_with_one_warning(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(1)
    pictures = [noise.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "cut.mkv", pictures, fps=10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = VideoFileSource(path, SourceOptions(clock=clock))
    source.open()
    with caplog.at_level(logging.WARNING):
        stamps = [read(source).timestamp for _ in range(60)]
    assert 10 <= len(set(stamps)) < 30
    assert stamps.count(0.0) >= 2, "it did not start over"
    assert len(caplog.records) == 1
    assert "cut.mkv" in caplog.text


def test_damage_in_the_middle_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(1)
    pictures = [noise.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(20)]
    path = write_video(tmp_path / "torn.mkv", pictures, fps=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING):
        stamps = [frame.timestamp or 0.0 for frame in all_of(path)]
    assert len(stamps) >= 10
    assert stamps[-1] > 1.5, "what follows the damage was lost"
    assert len(caplog.records) <= 1
