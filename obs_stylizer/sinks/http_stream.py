"""A stream of JPEGs that a browser, an OBS media source or a browser source shows."""

from __future__ import annotations

from obs_stylizer.errors import SinkError
from obs_stylizer.frames import Frame
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.spec import DEFAULT_HTTP_PORT
from obs_stylizer.sinks.stream_hub import StreamHub
from obs_stylizer.sinks.stream_routes import STREAM_PATH, page_route, stream_routes
from obs_stylizer.sinks.web_server import HOST, WebServer, build_app


class HttpStreamSink(Sink):
    """Shows frames at http://127.0.0.1:PORT/stream.mjpg, to this machine only.

    Pictures are encoded in a thread of their own, and only while somebody watches.

    Args:
        port: 1 to 65535, or 0 for any free one.
        hub: where a server that runs already takes its pictures from, with
            :func:`~obs_stylizer.sinks.stream_routes.stream_routes`; without one the sink
            starts a server of its own.
    """

    def __init__(self, port: int = DEFAULT_HTTP_PORT, hub: StreamHub | None = None) -> None:
        self._port = port
        self._hub = hub or StreamHub()
        self._server: WebServer | None = None
        if hub is None:
            self._server = WebServer(build_app([*stream_routes(self._hub), page_route()]), port)
        self._is_open = False

    @property
    def hub(self) -> StreamHub:
        """Where its pictures go through."""
        return self._hub

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`.

        Raises:
            BusyError: another program has the port.
        """
        self.close()
        self._hub.start()
        address = f"http://{HOST}:{self._port}"
        if self._server is not None:
            try:
                self._server.start()
            except BaseException:
                self._hub.close()
                raise
            address = self._server.url
        self._is_open = True
        return f"{address}{STREAM_PATH} ({form.frame_size})"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""
        if not self._is_open:
            raise SinkError("the stream is not open", "open it first")
        # The hub keeps the current picture and repeats it by itself.
        if not repeated or self._hub.current is None:
            self._hub.publish(frame)

    def close(self) -> None:
        """See :class:`Sink`."""
        self._is_open = False
        self._hub.close()
        if self._server is not None:
            self._server.stop()
