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
    from obs_stylizer.web.shared_server import SharedServer


def make_sink(
    spec: SinkSpec,
    *,
    clock: Clock | None = None,
    server: SharedServer | None = None,
    codec: str = "h264",
) -> Sink:
    """Make the sink that ``spec`` describes; it is not open yet.

    Args:
        spec: what was asked for.
        clock: where time comes from; the system's own if None.
        server: one that others use as well; an HTTP stream at its port, or at none by name,
            shows itself there; any other starts its own.
        codec: that recordings are encoded as.
    """
    match spec.kind:
        case SinkKind.VIRTUAL_CAMERA:
            from obs_stylizer.sinks.virtual_camera import VirtualCameraSink

            return VirtualCameraSink(spec.target, clock)
        case SinkKind.PIPEWIRE_CAMERA:
            from obs_stylizer.sinks.pipewire_camera import PipewireCameraSink

            return PipewireCameraSink(spec.target)
        case SinkKind.HTTP:
            from obs_stylizer.web.http_stream import HttpStreamSink
            from obs_stylizer.web.token import read_or_make_token

            if server is not None and spec.target in ("", str(server.port)):
                return HttpStreamSink(server.port, server)
            return HttpStreamSink(spec.port, token=read_or_make_token())
        case SinkKind.FILE:
            from obs_stylizer.sinks.video_file import VideoFileSink

            return VideoFileSink(Path(spec.target), clock, codec)
        case SinkKind.NULL:
            from obs_stylizer.sinks.null import NullSink

            return NullSink()
