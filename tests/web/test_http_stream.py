"""The stream: who sees what, and that no viewer holds up anybody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from time import monotonic

import av
import cv2
import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from obs_stylizer.errors import BusyError, SinkError
from obs_stylizer.frames import Frame, FrameSize, Pixels
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sinks.base import SinkFormat
from obs_stylizer.web import stream_hub
from obs_stylizer.web.http_stream import HttpStreamSink
from obs_stylizer.web.server import WebServer
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.stream_hub import StreamHub
from obs_stylizer.web.stream_routes import stream_routes

SIZE = FrameSize(64, 48)
FORM = SinkFormat(SIZE, 30)
TOKEN = "a-token-that-is-long-enough"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
REQUEST = (
    f"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
).encode()


def frame(level: int, size: FrameSize = SIZE) -> Frame:
    return Frame(np.full(size.shape, level, np.uint8), 0, 0.0)


@pytest.fixture
def sink() -> Iterator[HttpStreamSink]:
    with HttpStreamSink(0, token=TOKEN) as made:
        yield made


def address(sink: HttpStreamSink) -> str:
    return sink.open(FORM).split()[0]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline, "it did not happen"


class Viewer:
    """Watches a stream over a plain connection, and reads only when it is told to."""

    def __init__(self, url: str) -> None:
        port = httpx.URL(url).port
        self.connection = socket.create_connection(("127.0.0.1", port or 80), timeout=10)
        self.connection.sendall(REQUEST)
        self.received = b""

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def next_picture(self) -> Pixels:
        """Read up to the end of the next whole JPEG, uint8 RGB."""
        while True:
            begin = self.received.find(b"\xff\xd8\xff")
            end = self.received.find(b"\xff\xd9\r\n", begin)
            if begin >= 0 and end >= 0:
                break
            self.received += self.read()
        jpeg, self.received = self.received[begin : end + 2], self.received[end + 2 :]
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]

    def read(self) -> bytes:
        received = self.connection.recv(1 << 20)
        assert received, "the stream ended"
        return received


def test_a_viewer_sees_every_change_in_its_colours(sink: HttpStreamSink) -> None:
    url = address(sink)
    picture = np.zeros(SIZE.shape, np.uint8)
    picture[:] = (200, 60, 30)
    sink.send(Frame(picture, 0, 0.0), repeated=False)
    with Viewer(url) as viewer:
        assert viewer.next_picture()[20, 20].tolist() == pytest.approx([200, 60, 30], abs=4)
        for level in (90, 180):
            sink.send(frame(level), repeated=False)
            assert viewer.next_picture()[20, 20].tolist() == pytest.approx([level] * 3, abs=2)


def test_the_kind_of_answer(sink: HttpStreamSink) -> None:
    url = address(sink)
    head = httpx.head(url, headers=KNOWN)
    assert head.status_code == 200
    assert head.headers["content-type"] == "multipart/x-mixed-replace; boundary=frame"
    assert head.headers["cache-control"] == "no-store"
    with Viewer(url) as viewer:
        sink.send(frame(1), repeated=False)
        text = b""
        while text.count(b"--frame\r\n") < 2:
            text += viewer.read()
    # The boundary after a picture comes with it, or a browser would show it one frame late.
    first, part, _ = text.split(b"--frame\r\n", 2)
    assert first.startswith(b"HTTP/1.1 200")
    length = int(part.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert part.split(b"\r\n\r\n", 1)[1][:length].endswith(b"\xff\xd9")


def test_a_new_viewer_sees_the_current_picture_at_once(sink: HttpStreamSink) -> None:
    url = address(sink)
    sink.send(frame(77), repeated=False)
    sink.send(frame(77), repeated=True)
    for _ in range(2):
        with Viewer(url) as viewer:
            assert viewer.next_picture()[5, 5, 0] == pytest.approx(77, abs=2)
        eventually(lambda: sink.hub.viewer_count == 0)
    sink.send(frame(200), repeated=False)
    with Viewer(url) as viewer:
        assert viewer.next_picture()[5, 5, 0] == pytest.approx(200, abs=2), "it is an old one"


def test_nothing_is_encoded_while_nobody_watches(sink: HttpStreamSink) -> None:
    url = address(sink)
    for level in range(20):
        sink.send(frame(level), repeated=False)
    assert sink.hub.encoded_count == 0
    with Viewer(url) as viewer:
        viewer.next_picture()
    assert sink.hub.encoded_count == 1


def test_each_picture_is_encoded_once_for_all(sink: HttpStreamSink) -> None:
    url = address(sink)
    with ExitStack() as stack:
        viewers = [stack.enter_context(Viewer(url)) for _ in range(5)]
        eventually(lambda: sink.hub.viewer_count == 5)
        for level in (10, 60, 110):
            sink.send(frame(level), repeated=False)
            sink.send(frame(level), repeated=True)
            for viewer in viewers:
                assert viewer.next_picture()[5, 5, 0] == pytest.approx(level, abs=2)
    assert sink.hub.encoded_count == 3


def test_a_picture_that_stands_is_sent_again(sink: HttpStreamSink) -> None:
    url = address(sink)
    sink.send(frame(50), repeated=False)
    with Viewer(url) as viewer:
        assert [viewer.next_picture()[5, 5, 0] for _ in range(2)] == pytest.approx([50] * 2, abs=2)
    assert sink.hub.encoded_count == 1


def test_a_viewer_that_does_not_read_misses_frames_and_holds_up_nobody(
    sink: HttpStreamSink,
) -> None:
    url = address(sink)
    noise = np.random.default_rng(0)
    large = [
        Frame(noise.integers(0, 255, (720, 1280, 3), np.uint8), number, 0.0) for number in range(3)
    ]
    with Viewer(url) as asleep, Viewer(url) as awake:
        eventually(lambda: sink.hub.viewer_count == 2)
        for number in range(24):
            sink.send(large[number % 3], repeated=False)
            awake.next_picture()
        # All of them would be over 20 MB; what a sleeper can have missed is in no queue.
        sink.send(frame(99), repeated=False)
        assert awake.next_picture()[5, 5, 0] == pytest.approx(99, abs=2)
        seen = 0
        while asleep.next_picture().shape[0] != SIZE.height:
            seen += 1
        assert seen < 24


def test_sending_never_waits_for_the_encoder(
    sink: HttpStreamSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, go_on, began = stream_hub.encode_jpeg, threading.Event(), threading.Event()

    def slow(shown: Frame, quality: int) -> bytes:
        began.set()
        assert go_on.wait(20)
        return encode(shown, quality)

    monkeypatch.setattr(stream_hub, "encode_jpeg", slow)
    url = address(sink)
    with Viewer(url) as viewer:
        sink.send(frame(10), repeated=False)
        assert began.wait(10)
        for level in (20, 30, 40):
            sink.send(frame(level), repeated=False)
        go_on.set()
        shown = 0
        while shown < 38:
            shown = int(viewer.next_picture()[5, 5, 0])
            assert shown in (*range(8, 13), *range(38, 43)), "one that was overtaken"
    assert sink.hub.encoded_count == 2


def test_closing_is_quick_with_viewers_asleep_and_awake(sink: HttpStreamSink) -> None:
    url = address(sink)
    noise = np.random.default_rng(0)
    with Viewer(url), Viewer(url) as awake:
        eventually(lambda: sink.hub.viewer_count == 2)
        for number in range(12):
            pixels = noise.integers(0, 255, (720, 1280, 3), np.uint8)
            sink.send(Frame(pixels, number, 0.0), repeated=False)
            awake.next_picture()
        began = monotonic()
        sink.close()
        assert monotonic() - began < 2
    assert not [thread for thread in threading.enumerate() if thread.name in ("web", "jpeg")]


def test_too_many_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = StreamHub(max_viewers=2)
    server = WebServer(Starlette(routes=stream_routes(hub)), 0)
    hub.start()
    server.start()
    try:
        hub.publish(frame(1))
        url = f"{server.url}/stream.mjpg"
        with Viewer(url) as first, Viewer(url) as second:
            first.next_picture()
            second.next_picture()
            assert httpx.get(url, headers=KNOWN).status_code == 503
        eventually(lambda: hub.viewer_count == 0)
        with Viewer(url) as third:
            third.next_picture()
    finally:
        hub.close()
        server.stop()


def test_the_page_shows_the_stream(sink: HttpStreamSink) -> None:
    page = httpx.get(httpx.URL(address(sink)).join("/"))
    assert page.status_code == 200
    assert '<img src="/stream.mjpg"' in page.text


def test_only_this_machine_by_its_own_name(sink: HttpStreamSink) -> None:
    url = httpx.URL(address(sink))
    assert url.host == "127.0.0.1"
    foreign = httpx.get(url.join("/"), headers={"Host": "stream.example.com"})
    assert foreign.status_code == 403
    assert "no name of this server" in foreign.json()["error"]["message"]
    assert httpx.get(url.join("/"), headers={"Host": f"localhost:{url.port}"}).status_code == 200


def test_only_looking_is_allowed(sink: HttpStreamSink) -> None:
    assert httpx.get(address(sink)).status_code == 401
    assert httpx.post(address(sink), headers=KNOWN).status_code == 405


# Ports -----------------------------------------------------------------------------------------


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_port_that_another_daemon_has(port: int) -> None:
    with HttpStreamSink(port, token=TOKEN) as first, HttpStreamSink(port, token=TOKEN) as second:
        first.open(FORM)
        with pytest.raises(BusyError) as caught:
            second.open(FORM)
    assert f"port {port} is held by obs-stylizer, process {os.getpid()}" in caught.value.message
    assert "choose another port" in caught.value.remedy


def test_a_port_that_another_program_has(port: int) -> None:
    code = f"import socket, sys; s = socket.create_server(('127.0.0.1', {port}))"
    code += "; print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        process.stdout.readline()
        try:
            with pytest.raises(BusyError, match=f"port {port} is held by .*{process.pid}"):
                HttpStreamSink(port, token=TOKEN).open(FORM)
        finally:
            process.kill()
            process.wait()
    ResourceLock.take(f"port {port}").release()
    with HttpStreamSink(port, token=TOKEN) as sink:
        sink.open(FORM)


def test_a_port_is_free_at_once_after_closing(port: int) -> None:
    with HttpStreamSink(port, token=TOKEN) as sink:
        for _ in range(2):
            url = sink.open(FORM).split()[0]
            with Viewer(url) as viewer:
                sink.send(frame(9), repeated=False)
                viewer.next_picture()
            sink.close()


def test_stream_and_pages_share_a_server() -> None:
    server = SharedServer(0, token=TOKEN)
    server.acquire()
    try:
        assert httpx.get(f"{server.url}/panel", headers=KNOWN).status_code == 404

        async def panel(_: Request) -> PlainTextResponse:
            return PlainTextResponse("the panel")

        server.show(Starlette(routes=[*stream_routes(server.hub), Route("/panel", panel)]))
        with HttpStreamSink(server=server) as sink:
            sink.open(FORM)
            sink.send(frame(66), repeated=False)
            with Viewer(f"{server.url}/stream.mjpg") as viewer:
                assert viewer.next_picture()[5, 5, 0] == pytest.approx(66, abs=2)
        # The sink is closed, but not what another still needs.
        assert httpx.get(f"{server.url}/panel", headers=KNOWN).text == "the panel"
        server.show(None)
        assert httpx.get(f"{server.url}/panel", headers=KNOWN).status_code == 404
    finally:
        server.release()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/panel", headers=KNOWN)


def test_an_application_that_does_not_start(log_errors: list[str]) -> None:
    async def fail(_app: Starlette) -> None:
        raise RuntimeError("no")

    @asynccontextmanager
    async def lifespan(app: Starlette):  # type: ignore[no-untyped-def]
        await fail(app)
        yield

    server = WebServer(Starlette(lifespan=lifespan), 0)
    with pytest.raises(SinkError, match="did not start"):
        server.start()
    assert log_errors
    log_errors.clear()


def test_ffmpeg_reads_it_as_the_media_source_of_obs_does(sink: HttpStreamSink) -> None:
    url = address(sink)
    sink.send(frame(120), repeated=False)
    with av.open(
        f"{url}?token={TOKEN}", timeout=(10, 10), options={"strict_mime_boundary": "1"}
    ) as container:
        assert container.format.name == "mpjpeg"
        levels = []
        for picture in container.decode(video=0):
            levels.append(float(picture.to_ndarray(format="gray").mean()))
            if len(levels) == 3:
                break
            sink.send(frame(120), repeated=False)
    assert levels == pytest.approx([120] * 3, abs=3)
