"""A listening socket that leaves the process enough file descriptors for its real work.

Each viewer holds one, and a system may grant few. What opens a camera, a recording or a new worker
must still get some: so viewers beyond that are turned away, and the camera goes on.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import time
from typing import Any, Final

log = logging.getLogger(__name__)

_RESERVED: Final = 48
_WISHED: Final = 4096
_TOLD_EVERY_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def raise_descriptor_limit() -> None:
    """Let this process and those it starts open as many files as may be had without asking."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wished = _WISHED if hard == resource.RLIM_INFINITY else min(_WISHED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wished:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))
    except (OSError, ValueError) as error:
        log.debug("the limit of open files stays at %d: %s", soft, error)


class SparingListener(socket.socket):
    """See above. A plain socket where the system grants what is asked for."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY)
        self._told_at = float("-inf")

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: it was turned away.
        """
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            connection, address = self._accept_on_the_spare()
        limit = _descriptors_allowed()
        # The lowest free number is given, so a high one says that few are left.
        if self._spare is None or connection.fileno() >= limit - min(_RESERVED, limit // 2):
            self._turn_away(connection)
            raise ConnectionAbortedError("too few file descriptors are left")
        return connection, address

    def _accept_on_the_spare(self) -> tuple[socket.socket, Any]:
        """Let in whom there is no room for, to be sent away: who waits is reported for ever."""
        if self._spare is None:
            time.sleep(_PAUSE_SECONDS)
            self._turn_away(None)
            raise ConnectionAbortedError("no file descriptor is left")
        os.close(self._spare)
        self._spare = None
        try:
            return super().accept()
        except OSError as error:
            self._turn_away(None)
            raise ConnectionAbortedError("no file descriptor is left") from error

    def close(self) -> None:
        """See :meth:`socket.socket.close`."""
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        super().close()

    def _turn_away(self, connection: socket.socket | None) -> None:
        if connection is not None:
            try:
                connection.setblocking(False)
                connection.send(_FULL)
            except OSError:
                log.debug("whom we turn away is gone already")
            connection.close()
        if self._spare is None:
            try:
                self._spare = os.open(os.devnull, os.O_RDONLY)
            except OSError as error:
                log.debug("no descriptor is left to spare: %s", error)
        now = time.monotonic()
        if now - self._told_at > _TOLD_EVERY_SECONDS:
            log.warning(
                "viewers are turned away: this process may open only %d files "
                "(allow more before the start: ulimit -n %d)",
                _descriptors_allowed(),
                _WISHED,
            )
            self._told_at = now


def _descriptors_allowed() -> int:
    if sys.platform == "win32":
        return sys.maxsize
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
