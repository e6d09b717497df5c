"""``obs-stylizer run`` as a user starts and ends it: real processes, files, ports, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest

from tests.fakes.models import write_invert_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")

COMMAND = [sys.executable, "-m", "obs_stylizer"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A configuration of its own with one tiny preset and a grey picture as source."""
    presets = tmp_path / "config" / "obs-stylizer" / "presets"
    presets.mkdir(parents=True)
    write_invert_model(presets / "invert.onnx")
    (presets / "invert.yaml").write_text(
        "title: Invert\nmodel: ./invert.onnx\nprocess_size: 64x36\n", "utf-8"
    )
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((72, 128, 3), 50, np.uint8))
    settings = {
        "source": f"image:{tmp_path / 'grey.png'}",
        "preset": "invert",
        "size": "128x72",
        "provider": "cpu",
        "preload": False,
    }
    (presets.parent / "config.yaml").write_text(json.dumps(settings), "utf-8")
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CONFIG_HOME": str(home / "config"), "COLUMNS": "200"}


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=90,
    )


@contextmanager
def running(
    home: Path, *arguments: str, command: list[str] = COMMAND
) -> Iterator[subprocess.Popen[str]]:
    """A daemon that has styled frames; killed at the end if it did not end itself."""
    stats = home / "stats.json"
    stats.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*command, "run", "--stats", str(stats), *arguments],
        env=environment(home),
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until_styled(stats, process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until_styled(stats: Path, process: subprocess.Popen[str], timeout: float = 60) -> None:
    end = time.perf_counter() + timeout
    while time.perf_counter() < end:
        if stats.exists() and json.loads(stats.read_text("utf-8"))["styled"] > 0:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    pytest.fail("nothing was styled")


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def assert_memory_goes_with_it(process: subprocess.Popen[str]) -> None:
    """The frames' memory has no name that could be left behind."""
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        text = maps.read_text("utf-8")
        assert "/memfd:obs-stylizer (deleted)" in text
        assert "/dev/shm/" not in text


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def picture_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--source", "telepathy"], 2, "“telepathy” is no source"),
        (["--sink", "vcam"], 2, "“vcam” is no sink"),
        (["--size", "1281x720"], 2, "is odd"),
        (["--size", "0x0"], 2, "out of range"),
        (["--process-size", "100000x100000"], 2, "out of range"),
        (["--strength", "2"], 2, "it goes from 0 to 1"),
        (["--provider", "abacus"], 2, "abacus"),
        (["--preset", "inverse"], 1, "did you mean “invert”?"),
        (["--config", "gone.yaml"], 1, "gone.yaml: there is no such file"),
        (["--source", "file:gone.mp4"], 1, "gone.mp4"),
        (["--source", "image:gone.png"], 1, "there is no file gone.png"),
        (["--source", "file:config"], 1, "config"),
        (["--sink", "file:nowhere/show.mkv"], 1, "nowhere"),
        (["--sink", "file:show.txt"], 1, "a recording cannot be a “.txt” file"),
        (["--provider", "cuda"], 1, "onnxruntime-gpu"),
        (["--stats", "nowhere/stats.json"], 2, "nowhere"),
        (["--log-level", "loud"], 2, "loud"),
    ],
)
def test_bad_usage_is_one_readable_line(
    home: Path, arguments: list[str], code: int, words: str
) -> None:
    result = run(home, "run", "--sink", "null", *arguments)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_errors_come_with_a_traceback_only_when_asked_for(home: Path) -> None:
    result = run(home, "run", "--sink", "null", "--preset", "gone", "--log-level", "debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_bad_configuration_names_file_line_and_key(home: Path) -> None:
    bad = home / "bad.yaml"
    bad.write_text("source: pattern\nfsp: 30\n", "utf-8")
    result = run(home, "run", "--config", str(bad))
    assert result.returncode == 1
    assert "bad.yaml:2: fsp: is no known key (did you mean “fps”?)" in result.stderr


def test_says_what_it_chose_and_why(home: Path) -> None:
    (home / "config" / "obs-stylizer" / "config.yaml").write_text(
        f"preload: false\nprovider: cpu\nweb: {{port: {free_port()}}}\n", "utf-8"
    )
    result = run(home, "run", "--preset", "invert", "--frames", "5")
    assert result.returncode == 0, result.stderr
    assert re.search("source: (test pattern, because no camera was found|camera “)", result.stderr)
    assert re.search("sink: (stream at http://127|virtual camera “)", result.stderr)
    assert "cpu on" in result.stderr


def test_frames_and_stats(home: Path) -> None:
    result = run(
        home, "run", "--sink", "null", "--frames", "20", "--fps", "50", "--stats", "stats.json"
    )
    assert result.returncode == 0, result.stderr
    stats = json.loads((home / "stats.json").read_text("utf-8"))
    assert stats["sent"] >= 20
    assert stats["styled"] > 0
    assert (stats["preset"], stats["provider"], stats["frame_size"]) == ("invert", "cpu", "128x72")


_STUCK = """
import sys, time
from obs_stylizer.daemon.supervisor import Supervisor
Supervisor.stop = lambda self, timeout=None: time.sleep(1000)
from obs_stylizer.cli.main import main
main()
"""


def test_second_ctrl_c_ends_at_once(home: Path) -> None:
    with running(home, "--sink", "null", command=[sys.executable, "-c", _STUCK]) as process:
        members = family(process)
        process.send_signal(signal.SIGINT)
        time.sleep(1.0)
        assert process.poll() is None, "it is still ending"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 128 + signal.SIGINT
        _, alive = psutil.wait_procs(members, timeout=20)
        assert alive == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_it_whole(home: Path, name: str) -> None:
    recording = home / f"{name}.mkv"
    with running(home, "--sink", f"file:{recording}", "--sink", "null") as process:
        members = family(process)
        assert len(members) >= 2
        assert_memory_goes_with_it(process)
        time.sleep(0.5)
        process.send_signal(getattr(signal, name))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "off air after" in errors
    psutil.wait_procs(members, timeout=5)
    assert not [member for member in members if member.is_running()]
    assert picture_count(recording) > 5


def test_kill_of_the_daemon_leaves_no_worker(home: Path) -> None:
    with running(home, "--sink", "null") as process:
        members = family(process)
        assert_memory_goes_with_it(process)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(members, timeout=10)
    assert alive == []


def test_closed_terminal_ends_it_whole(home: Path) -> None:
    stats = home / "stats.json"
    recording = home / "show.mkv"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "--stats", str(stats), "--sink", f"file:{recording}"],
        env=environment(home),
        cwd=home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        # A session of its own whose terminal this is, as in a terminal window.
        preexec_fn=_take_terminal,
        text=True,
    )
    os.close(slave)
    members: list[psutil.Process] = []
    try:
        end = time.perf_counter() + 60
        while not (stats.exists() and json.loads(stats.read_text("utf-8"))["styled"] > 3):
            assert time.perf_counter() < end
            _drain(master)
        members = family(process)
    finally:
        os.close(master)
    process.wait(timeout=20)
    _, alive = psutil.wait_procs(members, timeout=5)
    assert alive == []
    assert picture_count(recording) > 3


def test_stopped_terminal_stops_nothing_else(home: Path) -> None:
    stats = home / "stats.json"
    config = home / "config" / "obs-stylizer" / "config.yaml"
    config.write_text(json.dumps({**json.loads(config.read_text()), "web": {"enabled": False}}))
    arguments = ["--sink", "null", "--duration", "3", "--log-level", "debug"]
    master, slave = pty.openpty()
    # As Ctrl-S does it: whoever writes to the terminal waits from now on.
    termios.tcflow(slave, termios.TCOOFF)
    process = subprocess.Popen(
        [*COMMAND, "run", "--stats", str(stats), *arguments],
        env=environment(home),
        cwd=home,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=_take_terminal,
    )
    try:
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(slave)
        os.close(master)
    told = json.loads(stats.read_text("utf-8"))
    assert told["sent"] > 50
    assert told["styled"] > 0


def _take_terminal() -> None:
    import fcntl

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _drain(master: int) -> None:
    os.set_blocking(master, False)
    try:
        os.read(master, 65536)
    except BlockingIOError:
        time.sleep(0.05)


def test_second_daemon_on_the_same_port_is_refused_and_names_the_first(home: Path) -> None:
    port = free_port()
    with running(home, "--sink", f"http:{port}") as first:
        result = run(home, "run", "--sink", f"http:{port}")
        assert result.returncode == 1
        assert str(port) in result.stderr
        assert str(first.pid) in result.stderr
        assert first.poll() is None


def test_stream_shows_the_styled_picture(home: Path) -> None:
    port = free_port()
    with running(home, "--sink", f"http:{port}"):
        token = (home / "config" / "obs-stylizer" / "token").read_text("utf-8").strip()
        url = f"http://127.0.0.1:{port}/stream.mjpg?token={token}"
        with urllib.request.urlopen(url, timeout=10) as stream:
            assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            data = b""
            while data.count(b"\xff\xd9") < 2:
                data += stream.read(512)
        begin = data.index(b"\xff\xd8")
        jpeg = np.frombuffer(data[begin : data.index(b"\xff\xd9", begin) + 2], np.uint8)
        picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (72, 128, 3)
    assert abs(float(np.median(picture)) - 205) <= 3


def test_file_that_ends_ends_the_daemon_with_its_last_frame(home: Path) -> None:
    clip = home / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for number in range(30):
            grey = np.full((72, 128, 3), 8 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    recording = home / "show.mkv"
    result = run(
        home, "run", "--source", f"file:{clip}?once", "--sink", f"file:{recording}", "--fps", "20"
    )
    assert result.returncode == 0, result.stderr
    with av.open(str(recording)) as container:
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
    # The last frame is 232 bright, inverted 23.
    assert abs(float(np.median(last)) - 23) <= 4


def test_help_and_listings_work_everywhere(home: Path) -> None:
    for arguments in (["--help"], ["run", "--help"], ["bench", "--help"], ["--version"]):
        result = run(home, *arguments)
        assert result.returncode == 0
        assert result.stdout
    assert run(home).returncode == 2
    listed = json.loads(run(home, "presets", "list", "--json").stdout)
    assert "invert" in [preset["name"] for preset in listed["presets"]]


def test_presets_validate(home: Path) -> None:
    good = run(home, "presets", "validate")
    assert good.returncode == 0, good.stdout
    bad = home / "bad.yaml"
    bad.write_text("title: Bad\nmodel: paintings\nstyles: {impasto: 1}\n", "utf-8")
    result = run(home, "presets", "validate", str(bad))
    assert result.returncode == 1
    assert "no style “impasto”" in result.stdout
    shown = run(home, "presets", "show", "invert", "--json")
    assert json.loads(shown.stdout)["title"] == "Invert"
