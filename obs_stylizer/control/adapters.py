"""Which doors to the commands a daemon opens, by the settings.

Each is imported only when it is wanted, so that a daemon without it does not pay for it.
"""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.control.desk import AdapterMaker
from obs_stylizer.realtime.priority import raise_thread_priority
from obs_stylizer.settings import Settings, WebSettings
from obs_stylizer.sinks.shared_server import SharedServer


def open_server(settings: WebSettings) -> SharedServer:
    """Make the web server that the panel and the stream share; it does not run yet."""
    from obs_stylizer.control.web.page import page_paths
    from obs_stylizer.control.web.token import read_or_make_token

    # Its work is short, and somebody waits for it: for a key that was pressed, for a picture.
    return SharedServer(
        settings.port,
        settings.address,
        read_or_make_token(),
        page_paths(),
        raise_thread_priority,
    )


def adapter_makers(
    settings: Settings, config: Path, server: SharedServer | None = None
) -> list[AdapterMaker]:
    """Return what makes each adapter.

    Args:
        settings: as read from ``config``.
        config: the file in which changed settings are saved; it need not exist.
        server: where the panel is shown; None for no panel.
    """
    makers: list[AdapterMaker] = []
    if settings.listen_for_keys:
        from obs_stylizer.control.hotkeys.adapter import hotkeys_adapter

        makers.append(hotkeys_adapter(settings.hotkeys))
    obs = None
    if settings.obs.is_wanted:
        from obs_stylizer.control.web.obs_door import ObsInSettings

        obs = ObsInSettings(settings.obs, config)
        makers.append(obs.make)
    if server is not None:
        from obs_stylizer.control.web.adapter import web_adapter

        makers.append(web_adapter(server, settings.recording, settings.hotkeys, obs))
    return makers
