"""Keeps a connection to OBS: connects again whenever it is lost, and says so once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from obs_stylizer.control.obs.connection import (
    NOT_OBS,
    WRONG_PASSWORD,
    WRONG_VERSION,
    Connection,
    ObsEvent,
    in_url,
)
from obs_stylizer.errors import ObsError

log = logging.getLogger(__name__)

# Together with the time that connecting takes, OBS is found within five seconds.
_PAUSES: Final = (0.5, 1.0, 2.0)
# Every refusal is shown by OBS on its user's screen.
_PAUSE_AFTER_REFUSAL: Final = 4.5
_JOIN_SECONDS: Final = 8.0
# Reasons that are told beside “it is away”, which includes all others.
_TOLD_APART: Final = (NOT_OBS, WRONG_PASSWORD, WRONG_VERSION)


class Link:
    """A connection to OBS that comes back. Its thread is the one that receives.

    All subscribers are called on that thread and must return at once.

    Args:
        on_connected: takes each new connection before anything is received on it.
        on_lost: takes the reason why there is no connection, each time it is another.
    """

    def __init__(
        self,
        host: str,
        port: int,
        password: str,
        on_connected: Callable[[Connection], None],
        on_lost: Callable[[str], None],
        on_event: Callable[[ObsEvent], None],
    ) -> None:
        self._host = host
        self._port = port
        self._password = password
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_event = on_event
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._told: int | None = None
        self._ever_connected = False
        self._thread = threading.Thread(target=self._run, name="obs-link", daemon=True)

    def start(self) -> None:
        """Begin to look for OBS."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the thread."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            connection.leave()
        if self._thread.ident is not None:
            # Only the look-up of a host's name may last longer; it ends by itself.
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                reason = self._connect_once()
                failures = 0
            except ObsError as error:
                reason = error
                failures += 1
            except Exception as error:
                log.exception("the connection to OBS failed")
                reason = ObsError(f"unexpected {type(error).__name__}")
                failures += 1
            if self._stopping.is_set():
                return
            self._tell_lost(reason)
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            if reason.code == WRONG_PASSWORD:
                pause = _PAUSE_AFTER_REFUSAL
            self._stopping.wait(pause)

    def _connect_once(self) -> ObsError:
        """Connect and stay until the connection ends; returns why it did.

        Raises:
            ObsError: it cannot be made.
        """
        connection = Connection(self._host, self._port, self._password, self._on_event)
        self._connection = connection
        try:
            if self._stopping.is_set():
                return ObsError("ending")
            connection.connect()
            self._told = None
            self._ever_connected = True
            log.info("%s: connected (obs-websocket %s)", connection, connection.server_version)
            self._on_connected(connection)
            return connection.receive()
        finally:
            connection.disconnect()
            self._connection = None

    def _tell_lost(self, reason: ObsError) -> None:
        kind = reason.code if reason.code in _TOLD_APART else 0
        if kind == self._told:
            return
        self._told = kind
        # That OBS is started later than we are is no trouble.
        level = logging.WARNING if kind or self._ever_connected else logging.INFO
        hint = f" ({reason.remedy})" if reason.remedy else ""
        log.log(
            level,
            "OBS at %s:%d: %s; trying again until it is there%s",
            in_url(self._host),
            self._port,
            reason.message,
            hint,
        )
        self._on_lost(reason.message)
