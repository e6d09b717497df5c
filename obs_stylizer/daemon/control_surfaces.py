"""The control surfaces of a daemon: which it has, by the settings, and how they start and end.

Each is imported only when it is wanted, so that a daemon without it does not pay for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from obs_stylizer.control.api import ControlApi, ControlSurface, ControlSurfaceFactory
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.settings import Settings, WebSettings
from obs_stylizer.web.shared_server import SharedServer

log = logging.getLogger(__name__)


def open_server(settings: WebSettings) -> SharedServer:
    """Make the web server that the panel and the stream share; it does not run yet."""
    from obs_stylizer.web.page import page_paths
    from obs_stylizer.web.token import read_or_make_token

    # Its work is short, and somebody waits for it: for a key that was pressed, for a picture.
    return SharedServer(
        settings.port,
        settings.address,
        read_or_make_token(),
        page_paths(),
        raise_thread_priority,
    )


def control_surface_factories(
    settings: Settings, config: Path, server: SharedServer | None = None
) -> list[ControlSurfaceFactory]:
    """Return what makes each control surface.

    Args:
        settings: as read from ``config``.
        config: the file in which changed settings are saved; it need not exist.
        server: where the panel is shown; None for no panel.
    """
    factories: list[ControlSurfaceFactory] = []
    if settings.listen_for_keys:
        from obs_stylizer.control.hotkeys.hotkey_control import hotkey_control

        factories.append(hotkey_control(settings.hotkeys))
    obs = None
    if settings.obs.is_wanted:
        from obs_stylizer.web.scene_map_settings import SceneMapSettings

        obs = SceneMapSettings(settings.obs, config)
        factories.append(obs.make)
    if server is not None:
        from obs_stylizer.web.web_control import web_control

        factories.append(web_control(server, settings.recording, settings.hotkeys, obs))
    return factories


class ControlSurfaces:
    """All control surfaces; one that fails leaves the camera and the others as they are."""

    def __init__(self, factories: Sequence[ControlSurfaceFactory]) -> None:
        self._factories = tuple(factories)
        self._running: list[ControlSurface] = []

    def start(self, api: ControlApi) -> None:
        """Make and start each."""
        for make in self._factories:
            try:
                control = make(api)
                self._running.append(control)
                control.start()
            except Exception:
                log.exception("a way to control the daemon does not work")

    def ends(self) -> dict[str, Callable[[], None]]:
        """Return what ends each, by a name for the log."""
        running, self._running = self._running, []
        return {
            f"control {number} ({type(control).__name__})": control.stop
            for number, control in enumerate(running, 1)
        }
