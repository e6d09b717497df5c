"""Opens OBS's media source of our stream again when it stands still.

Where a media source of OBS 29 cannot be opened at once, it may take itself for playing and never
try again: the daemon was started after OBS, or anew.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.control.obs.setup import INPUT_NAME
from obs_stylizer.errors import ObsError

log = logging.getLogger(__name__)

_PLAYING: Final = "OBS_MEDIA_STATE_PLAYING"


class StreamKeeper:
    """To be asked to check every few seconds. One thread only."""

    def __init__(self) -> None:
        self._position: Any = None
        self._told = False

    def begin(self) -> None:
        """Take in that this is a new connection."""
        self._position = None
        self._told = False

    def check(self, connection: Connection) -> None:
        """Compare with the last time; open the source again if it says to play and does not."""
        try:
            status = connection.ask("GetMediaInputStatus", inputName=INPUT_NAME)
        except ObsError:
            # There is none, or it shows a device: nothing to keep.
            self._position = None
            return
        if status.get("mediaState") != _PLAYING:
            self._position = None
            return
        position = (status.get("mediaCursor"),)
        if position != self._position:
            self._position = position
            return
        self._position = None
        if not self._told:
            self._told = True
            log.info("OBS: its input “%s” stands still, and is opened again", INPUT_NAME)
        # Any change of its settings does that; restarting it does not.
        connection.request("SetInputSettings", inputName=INPUT_NAME, inputSettings={})
