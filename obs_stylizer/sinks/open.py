"""From a sink as it is written to the sink itself.

Each kind is imported only when it is asked for, so that starting costs no library unused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from obs_stylizer.clock import Clock
from obs_stylizer.sinks.base import Sink
from obs_stylizer.sinks.spec import SinkKind, SinkSpec

if TYPE_CHECKING:
    from obs_stylizer.sinks.stream_hub import StreamHub


def make_sink(spec: SinkSpec, *, clock: Clock | None = None, hub: StreamHub | None = None) -> Sink:
    """Make the sink that ``spec`` describes; it is not open yet.

    Args:
        spec: what was asked for.
        clock: where time comes from; the system's own if None.
        hub: where an HTTP stream hands its pictures to a server that runs already; without
            one it starts its own.
    """
    match spec.kind:
        case SinkKind.VIRTUAL_CAMERA:
            from obs_stylizer.sinks.virtual_camera import VirtualCameraSink

            return VirtualCameraSink(spec.target, clock)
        case SinkKind.HTTP:
            from obs_stylizer.sinks.http_stream import HttpStreamSink

            return HttpStreamSink(spec.port, hub)
        case SinkKind.FILE:
            from obs_stylizer.sinks.video_file import VideoFileSink

            return VideoFileSink(Path(spec.target), clock)
        case SinkKind.NULL:
            from obs_stylizer.sinks.null import NullSink

            return NullSink()
