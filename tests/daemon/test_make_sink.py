"""From a sink as it is written to the sink."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.daemon.make_sink import make_sink
from obs_stylizer.errors import BusyError
from obs_stylizer.frames import FrameSize
from obs_stylizer.locks import ResourceLock
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.null import NullSink
from obs_stylizer.sinks.spec import SinkKind, SinkSpec
from obs_stylizer.sinks.video_file import VideoFileSink
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink
from obs_stylizer.web.http_stream import HttpStreamSink
from obs_stylizer.web.shared_server import SharedServer

FORM = SinkFormat(FrameSize(64, 48), 10)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("null", NullSink),
        ("http", HttpStreamSink),
        ("http:9000", HttpStreamSink),
        ("file:show.mkv", VideoFileSink),
        ("virtual-camera", VirtualCameraSink),
        ("virtual-camera:/dev/video7", VirtualCameraSink),
    ],
)
def test_each_kind(text: str, kind: type[Sink]) -> None:
    assert type(make_sink(SinkSpec.parse(text))) is kind


def test_a_recording_goes_where_it_was_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "a:b.mp4"
    with make_sink(SinkSpec.parse(f"file:{path}")) as sink:
        assert sink.open(FORM) == str(path)


def test_a_stream_uses_the_server_that_has_its_port() -> None:
    server = SharedServer(0)
    assert make_sink(SinkSpec(SinkKind.HTTP), server=server).hub is server.hub  # type: ignore[attr-defined]
    with make_sink(SinkSpec(SinkKind.HTTP, "0"), server=server) as sink:
        where = sink.open(FORM)
        assert where.startswith(f"{server.url}/stream.mjpg")
        assert server.hub.is_open
    assert not server.hub.is_open


def test_a_stream_at_another_port_has_a_server_of_its_own() -> None:
    server = SharedServer(8799)
    sink = make_sink(SinkSpec.parse("http:8798"), server=server)
    assert isinstance(sink, HttpStreamSink)
    assert sink.hub is not server.hub


def test_the_port_is_the_one_asked_for() -> None:
    lock = ResourceLock.take("port 8799")
    with pytest.raises(BusyError, match="port 8799"):
        make_sink(SinkSpec.parse("http:8799")).open(FORM)
    lock.release()
