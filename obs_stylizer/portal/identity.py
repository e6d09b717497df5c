"""Who we are to the portal: without a name, some of its parts are not open to a program."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final

from obs_stylizer.errors import PortalError
from obs_stylizer.portal.bus import PortalBus

log = logging.getLogger(__name__)

APP_ID: Final = "io.github.obs_stylizer.ObsStylizer"

_REGISTRY: Final = "org.freedesktop.host.portal.Registry"
_TRIES: Final = 6
_PAUSE_SECONDS: Final = 0.4

# A file whose program does not exist is ignored by the portal, so it must be a real one.
_ENTRY: Final = """[Desktop Entry]
# Made by obs-stylizer, so that the desktop knows by name who asks for hotkeys.
Type=Application
Version=1.0
Name=obs-stylizer
Comment=Turns a camera into a living painting, as a virtual camera
Exec="{program}" -m obs_stylizer run
Icon=camera-web
Terminal=true
NoDisplay=true
"""


def register(bus: PortalBus) -> bool:
    """Tell the portal our name; must be the first call over ``bus``.

    Returns:
        Whether it knows us now. One older than 1.19.4 has no ear for it and asks for no name;
        a newer one refuses some things later to whoever has none.
    """
    path = entry_path()
    is_new = _write_entry(path)
    for turn in range(_TRIES if is_new else 2):
        try:
            bus.call(_REGISTRY, "Register", "sa{sv}", APP_ID, {})
        except PortalError as error:
            log.debug("the portal does not take the name %s: %s", APP_ID, error)
            if "no desktop portal answers" in error.message:
                return False
        else:
            return True
        if turn == 0 or is_new:
            # It takes a moment to notice a new file.
            time.sleep(_PAUSE_SECONDS)
    return False


def entry_path() -> Path:
    """The file from which desktops know programs."""
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "applications" / f"{APP_ID}.desktop"


def _write_entry(path: Path) -> bool:
    """Write the file where it is not there yet; whether it is new."""
    text = _ENTRY.format(program=sys.executable)
    try:
        if path.is_file() and path.read_text("utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_text(text, "utf-8")
        draft.replace(path)
    except (OSError, ValueError) as error:
        log.warning("the desktop cannot be told who asks for hotkeys: %s", error)
        return False
    return True
