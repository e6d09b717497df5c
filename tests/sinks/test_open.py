"""From a sink as it is written to the sink."""

from __future__ import annotations

from pathlib import Path

import pytest

from obs_stylizer.claims import Claim
from obs_stylizer.errors import BusyError
from obs_stylizer.frames import FrameSize
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.http_stream import HttpStreamSink
from obs_stylizer.sinks.null import NullSink
from obs_stylizer.sinks.open import make_sink
from obs_stylizer.sinks.spec import SinkSpec
from obs_stylizer.sinks.stream_hub import StreamHub
from obs_stylizer.sinks.video_file import VideoFileSink
from obs_stylizer.sinks.virtual_camera import VirtualCameraSink

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


def test_a_stream_may_use_a_server_that_runs_already() -> None:
    hub = StreamHub()
    with make_sink(SinkSpec.parse("http:8765"), hub=hub) as sink:
        assert sink.open(FORM).startswith("http://127.0.0.1:8765/stream.mjpg")
        assert hub.is_open
    assert not hub.is_open


def test_the_port_is_the_one_asked_for() -> None:
    claim = Claim.take("port 8799")
    with pytest.raises(BusyError, match="port 8799"):
        make_sink(SinkSpec.parse("http:8799")).open(FORM)
    claim.release()
