"""Which control surfaces a daemon has, by the settings.

Each is imported only when it is wanted, so that a daemon without it does not pay for it.
"""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.control.api import ControlSurfaceFactory
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.settings import Settings, WebSettings
from obs_stylizer.web.shared_server import SharedServer


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
