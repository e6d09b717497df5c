"""Every sink against its contract; the virtual camera's is in tests/sinks/under_shim."""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.clock import ManualClock
from obs_stylizer.sinks.base import Sink
from obs_stylizer.sinks.null import NullSink
from obs_stylizer.sinks.video_file import VideoFileSink
from obs_stylizer.web.http_stream import HttpStreamSink
from tests.contracts.sink_contract import ClosedSinkContract, SinkContract, SizedSinkContract


class TestNullSink(SinkContract):
    def make(self, folder: Path, clock: ManualClock) -> Sink:
        return NullSink()


class TestHttpStreamSink(ClosedSinkContract):
    def make(self, folder: Path, clock: ManualClock) -> Sink:
        return HttpStreamSink(0)


class TestVideoFileSink(SizedSinkContract):
    def make(self, folder: Path, clock: ManualClock) -> Sink:
        return VideoFileSink(folder / "show.mkv", clock)

    def make_room(self, folder: Path) -> None:
        (folder / "show.mkv").unlink()
