"""Recordings: what is in them, and that they can be played however they ended."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import av
import numpy as np
import pytest

from obs_stylizer.clock import ManualClock
from obs_stylizer.errors import BusyError, SinkEndedError, SinkError
from obs_stylizer.frames import Frame, FrameSize
from obs_stylizer.locks import ResourceLock
from obs_stylizer.segmentation.chroma import CHROMA
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.sinks.recording_file import RecordingFile
from obs_stylizer.sinks.video_file import VideoFileSink
from tests.fakes.videos import read_video

SIZE = FrameSize(64, 48)
FORM = SinkFormat(SIZE, 10)


def frame(level: int) -> Frame:
    return Frame(np.full(SIZE.shape, level, np.uint8), 0, 0.0)


class Recording:
    """A sink on a clock of its own, sent to no faster than it writes."""

    def __init__(self, path: Path, form: SinkFormat = FORM) -> None:
        self.clock = ManualClock(30.0)
        self.sink = VideoFileSink(path, self.clock)
        self.where = self.sink.open(form)
        self._written = threading.Semaphore(0)
        file = self.sink._recorder._file  # type: ignore[union-attr]
        write = file.write

        def counted(pixels: np.ndarray, seconds: float, alpha: np.ndarray | None = None) -> None:
            write(pixels, seconds, alpha)
            self._written.release()

        file.write = counted  # type: ignore[method-assign]

    def send(self, level: int, at: float) -> None:
        """Send a fresh frame, ``at`` seconds after opening, and wait until it is encoded."""
        self.clock.wait_until(30.0 + at)
        self.sink.send(frame(level), repeated=False)
        assert self._written.acquire(timeout=20)

    def repeat(self, level: int, at: float) -> None:
        self.clock.wait_until(30.0 + at)
        self.sink.send(frame(level), repeated=True)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_frames_and_their_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"show{suffix}"
    recording = Recording(path)
    times = [0, 0.1, 0.2, 0.45, 0.5]
    for number, at in enumerate(times):
        recording.send(number * 40, at)
    recording.sink.close()
    pictures, stamps = read_video(path)
    assert [round(float(picture.mean()) / 40) for picture in pictures] == [0, 1, 2, 3, 4]
    assert stamps == pytest.approx(times, abs=0.002)


def test_colours_and_their_tags(tmp_path: Path) -> None:
    path = tmp_path / "show.mkv"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (40, 180, 60), (255, 255, 255)
    with VideoFileSink(path) as sink:
        sink.open(FORM)
        sink.send(Frame(picture, 0, 0.0), repeated=False)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.name == "h264"
        assert context.pix_fmt == "yuv420p"
        assert (context.color_range, context.colorspace) == (1, 6)
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert shown[20, 10].tolist() == pytest.approx([40, 180, 60], abs=6)
    assert shown[20, 50].tolist() == pytest.approx([255, 255, 255], abs=6)


@pytest.mark.parametrize(
    ("codec", "suffix", "decoder"),
    [
        ("ffv1", ".mkv", "ffv1"),
        ("prores", ".mov", "prores"),
        ("prores", ".mkv", "prores"),
        ("vp9", ".webm", "libvpx-vp9"),
    ],
)
def test_what_is_transparent_stays_so(
    tmp_path: Path, codec: str, suffix: str, decoder: str
) -> None:
    path = tmp_path / f"show{suffix}"
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 24:40], alpha[:, 40:] = 128, 255
    person = np.full((48, 64, 3), (200, 120, 40), np.uint8)
    shares = alpha[..., None] / 255
    over_green = (person * shares + np.array(CHROMA) * (1 - shares) + 0.5).astype(np.uint8)
    with VideoFileSink(path, codec=codec) as sink:
        sink.open(FORM)
        sink.send(Frame(over_green, 0, 0.0, alpha=alpha), repeated=False)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = av.CodecContext.create(decoder, "r")
        context.extradata = stream.codec_context.extradata
        context.width, context.height = 64, 48
        if codec != "vp9":
            context = stream.codec_context
        shown = None
        for packet in container.demux(stream):
            for decoded in context.decode(packet):
                shown = decoded.to_ndarray(format="rgba")
                break
    assert shown is not None
    for left, right in ((2, 20), (28, 36), (44, 62)):
        middle = shown[8:40, left:right]
        assert np.abs(middle[..., 3].astype(int) - alpha[8:40, left:right]).max() <= 3
        if alpha[20, left]:
            assert np.abs(middle[..., :3].astype(int) - person[0, 0]).max() <= 8


def test_an_opaque_picture_is_opaque_in_a_file_that_knows_transparency(tmp_path: Path) -> None:
    with VideoFileSink(tmp_path / "show.mkv", codec="ffv1") as sink:
        sink.open(FORM)
        sink.send(frame(90), repeated=False)
    with av.open(str(tmp_path / "show.mkv")) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgba")
    assert (shown == (90, 90, 90, 255)).all()


def test_a_codec_needs_a_file_that_can_hold_it(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"a \.mp4 file cannot hold FFV1 \(name it \.mkv\)"):
        VideoFileSink(tmp_path / "show.mp4", codec="ffv1").open(FORM)


def test_a_picture_that_stands_costs_little_and_the_length_is_right(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "show.mkv")
    recording.send(10, 0)
    recording.send(100, 0.1)
    for number in range(2, 35):
        recording.repeat(100, number / 10)
    recording.sink.close()
    pictures, stamps = read_video(tmp_path / "show.mkv")
    assert len(pictures) <= 7
    assert stamps[-1] == pytest.approx(3.4, abs=0.002)


def test_frames_that_come_too_quickly_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    write = RecordingFile.write

    def slow(self: RecordingFile, pixels: np.ndarray, seconds: float, _: None) -> None:
        assert release.wait(20)
        write(self, pixels, seconds)

    monkeypatch.setattr(RecordingFile, "write", slow)
    clock = ManualClock()
    sink = VideoFileSink(tmp_path / "show.mkv", clock)
    sink.open(FORM)
    for number in range(12):
        sink.send(frame(number * 20), repeated=False)
        clock.advance(0.1)
    # One may be in the encoder, and the newest waits; all others are gone.
    assert 10 <= sink.frames_dropped <= 11
    release.set()
    sink.close()
    pictures, _ = read_video(tmp_path / "show.mkv")
    assert round(float(pictures[-1].mean())) == pytest.approx(220, abs=4)
    assert "lacks" in caplog.text


def test_date_and_time_in_the_name(tmp_path: Path) -> None:
    with VideoFileSink(tmp_path / "show-%Y%m%d-%H%M%S.mkv") as sink:
        where = Path(sink.open(FORM))
    assert where.exists()
    assert "%" not in where.name
    assert where.stem.removeprefix("show-").replace("-", "").isdigit()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("show.avi", "avi"),
        ("show", "recording cannot be"),
        ("nowhere/show.mkv", "there is no folder"),
        ("folder.mkv", "is a folder"),
        ("full.mkv", "overwrites nothing"),
    ],
)
def test_what_cannot_be_recorded_to(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mkv").mkdir()
    (tmp_path / "full.mkv").write_bytes(b"a film of last year")
    with pytest.raises(SinkError, match=message) as caught:
        VideoFileSink(tmp_path / name).open(FORM)
    assert caught.value.remedy
    assert (tmp_path / "full.mkv").read_bytes() == b"a film of last year"


def test_an_empty_file_may_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "show.mkv"
    path.touch()
    with VideoFileSink(path) as sink:
        sink.open(FORM)
        sink.send(frame(10), repeated=False)
    assert len(read_video(path)[0]) == 1


def test_two_recordings_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "show.mkv"
    lock = ResourceLock.take(f"recording {path}")
    with pytest.raises(BusyError, match=r"show\.mkv is held by obs-stylizer, process"):
        VideoFileSink(path).open(FORM)
    lock.release()


RECORD_UNTIL_ENDED = textwrap.dedent(
    """
    import json, sys
    import numpy as np
    from pathlib import Path
    from obs_stylizer.clock import ManualClock
    from obs_stylizer.errors import SinkEndedError
    from obs_stylizer.frames import Frame, FrameSize
    from obs_stylizer.sinks.base import SinkFormat
    from obs_stylizer.sinks.video_file import VideoFileSink

    clock = ManualClock()
    size = FrameSize(320, 240)
    sink = VideoFileSink(Path(sys.argv[1]), clock)
    sink.open(SinkFormat(size, 30))
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, size.shape, np.uint8) for _ in range(8)]
    error, sent = None, 0
    while error is None and sent < 20000:
        try:
            sink.send(Frame(pictures[sent % 8], sent, 0.0), repeated=False)
        except SinkEndedError as ended:
            error = ended
        sent += 1
        clock.advance(1 / 30)
        if sink._recorder is not None:
            while sink._recorder._slot is not None and sink._recorder.error is None:
                pass
        if sent == 60:
            print("running", flush=True)
    sink.close()
    print(json.dumps({"message": error and error.message, "remedy": error and error.remedy}))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of file size is a thing of Unix")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_full_disk_ends_it_and_what_is_written_can_be_played(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"show{suffix}"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    done = subprocess.run(
        [sys.executable, "-c", RECORD_UNTIL_ENDED, path],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert "may not become larger" in told["message"]
    assert "can be played" in told["remedy"]
    assert path.stat().st_size > 500_000
    pictures, stamps = read_what_can_be_read(path)
    assert len(pictures) > 5
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_killed_process_leaves_a_file_that_can_be_played(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"show{suffix}"
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD_UNTIL_ENDED, path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    pictures, _ = read_what_can_be_read(path)
    # Two of the seconds at 30 a second had been handed over; the last one may be lost.
    assert len(pictures) >= 20


def read_what_can_be_read(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Decode up to where a file is torn."""
    pictures, times = [], []
    with av.open(str(path)) as container:
        try:
            for decoded in container.decode(video=0):
                pictures.append(decoded.to_ndarray(format="rgb24"))
                times.append(float(decoded.time))
        except av.FFmpegError:
            assert pictures
    return pictures, times


def test_after_the_end_every_frame_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: RecordingFile, *_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordingFile, "write", full)
    sink = VideoFileSink(tmp_path / "show.mkv")
    sink.open(FORM)
    sink.send(frame(1), repeated=False)
    recorder = sink._recorder
    assert recorder is not None
    recorder._thread.join(20)
    for _ in range(2):
        with pytest.raises(SinkEndedError, match="the disk is full"):
            sink.send(frame(1), repeated=False)
    sink.close()


SLOW_DISK = textwrap.dedent(
    """
    import os, sys, threading, time
    import numpy as np
    from pathlib import Path
    from obs_stylizer.frames import FrameSize
    from obs_stylizer.sinks.recording_file import RecordingFile

    path, size = Path(sys.argv[1]), FrameSize(320, 240)
    os.mkfifo(path)

    def record():
        file = RecordingFile(path, size, 30)
        random = np.random.default_rng(0)
        for number in range(40):
            file.write(random.integers(0, 255, size.shape, np.uint8), number / 30)
        file.close()

    thread = threading.Thread(target=record, daemon=True)
    thread.start()
    # It waits for somebody who opens the other end, and then for somebody who reads from it.
    time.sleep(0.5)
    end = os.open(path, os.O_RDONLY)
    time.sleep(0.5)
    read = 0
    while piece := os.read(end, 1 << 16):
        read += len(piece)
    thread.join()
    print(read)
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe stands for a disk that waits")
def test_a_disk_that_waits_holds_up_no_other_thread(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SLOW_DISK, str(tmp_path / "show.mkv")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert int(done.stdout) > 100_000
