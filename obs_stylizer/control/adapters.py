"""Which doors to the commands a daemon opens, by the settings.

Each is imported only when it is wanted, so that a daemon without it does not pay for it.
"""

from __future__ import annotations

from pathlib import Path

from obs_stylizer.control.desk import AdapterMaker
from obs_stylizer.settings import Settings


def adapter_makers(settings: Settings, config: Path) -> list[AdapterMaker]:
    """Return what makes each adapter.

    Args:
        settings: as read from ``config``.
        config: the file in which changed settings are saved; it need not exist.
    """
    del config
    makers: list[AdapterMaker] = []
    if settings.listen_for_keys:
        from obs_stylizer.control.hotkeys.adapter import hotkeys_adapter

        makers.append(hotkeys_adapter(settings.hotkeys))
    return makers
