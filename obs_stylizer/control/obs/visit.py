"""A short visit to OBS, to ask or change something and leave again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.errors import ObsError
from obs_stylizer.settings import ObsSettings


@contextmanager
def visit(settings: ObsSettings) -> Iterator[Connection]:
    """Connect for as long as the block lasts.

    Raises:
        ObsError: OBS cannot be reached or refuses us, with its address named.
    """
    connection = Connection(settings.host, settings.port, settings.secret)
    try:
        connection.connect()
    except ObsError as error:
        message = f"OBS at {settings.address}: {error.message}"
        raise ObsError(message, error.remedy, code=error.code) from error
    receiving = threading.Thread(target=connection.receive, name="obs-visit", daemon=True)
    receiving.start()
    try:
        yield connection
    finally:
        connection.leave()
        receiving.join()
