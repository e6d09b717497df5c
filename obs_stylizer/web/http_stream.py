"""A stream of JPEGs that a browser, an OBS media source or a browser source shows."""

from __future__ import annotations

import logging

from obs_stylizer.errors import SinkError
from obs_stylizer.frames import Frame
from obs_stylizer.sinks.base import Sink, SinkFormat
from obs_stylizer.sinks.spec import DEFAULT_HTTP_PORT
from obs_stylizer.web.shared_server import SharedServer
from obs_stylizer.web.stream_hub import StreamHub
from obs_stylizer.web.stream_routes import STREAM_PATH

log = logging.getLogger(__name__)


class HttpStreamSink(Sink):
    """Shows frames at http://127.0.0.1:PORT/stream.mjpg, to this machine, with the token.

    Pictures are encoded in a thread of their own, and only while somebody watches.

    Args:
        port: 1 to 65535, or 0 for any free one.
        server: one that others use as well, and that has the port; without it the sink starts
            a server of its own.
        token: of a server of its own.
    """

    def __init__(
        self, port: int = DEFAULT_HTTP_PORT, server: SharedServer | None = None, token: str = ""
    ) -> None:
        self._server = server or SharedServer(port, token=token)
        self._is_open = False

    @property
    def hub(self) -> StreamHub:
        """Where its pictures go through."""
        return self._server.hub

    def open(self, form: SinkFormat) -> str:
        """See :class:`Sink`.

        Raises:
            BusyError: another program has the port.
        """
        self.close()
        address = self._server.acquire()
        self.hub.start()
        self._is_open = True
        log.info("stream: %s", self._server.with_token(STREAM_PATH))
        return f"{address}{STREAM_PATH} ({form.frame_size})"

    def send(self, frame: Frame, *, repeated: bool) -> None:
        """See :class:`Sink`."""
        if not self._is_open:
            raise SinkError("the stream is not open", "open it first")
        # The hub keeps the current picture and repeats it by itself.
        if not repeated or self.hub.current is None:
            self.hub.publish(frame)

    @property
    def watched(self) -> bool | None:
        """See :class:`Sink`."""
        return self._is_open and self.hub.viewer_count > 0

    def close(self) -> None:
        """See :class:`Sink`."""
        if not self._is_open:
            return
        self._is_open = False
        self.hub.close()
        self._server.release()
