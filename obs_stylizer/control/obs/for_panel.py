"""What the panel sees of OBS, and how it saves the scene map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from obs_stylizer.control.desk import Desk
from obs_stylizer.control.obs.adapter import ObsAdapter, ObsState
from obs_stylizer.control.obs.saved_scenes import as_written, read_scene_map, save_scenes
from obs_stylizer.settings import ObsSettings


class ObsForPanel:
    """Makes the OBS adapter, and lets the panel look over its shoulder. Any thread.

    Args:
        config: the file into which a changed scene map goes.
    """

    def __init__(self, settings: ObsSettings, config: Path) -> None:
        self._settings = settings
        self._config = config
        self._adapter: ObsAdapter | None = None

    def make(self, desk: Desk) -> ObsAdapter:
        """Make the adapter."""
        self._adapter = ObsAdapter(self._settings, desk)
        return self._adapter

    def state(self) -> Mapping[str, Any]:
        """Whether OBS is there, and what is on its program, as plain JSON values."""
        state = self._known()
        return {
            "enabled": True,
            "host": self._settings.host,
            "port": self._settings.port,
            **asdict(state),
        }

    def scenes(self) -> Sequence[str]:
        """Names of OBS's scenes; empty where it is not there."""
        return self._known().scenes

    def scene_map(self) -> Mapping[str, Any]:
        """For each scene what it brings, as in the settings."""
        return {name: as_written(look) for name, look in self._settings.scenes.items()}

    def save_scene_map(self, scene_map: Mapping[str, Any]) -> None:
        """Act on another map from now on, and write it into the settings.

        Raises:
            SettingsError: it is wrong, or cannot be written; nothing has changed.
        """
        scenes = read_scene_map(scene_map)
        save_scenes(self._config, scenes)
        self._settings = self._settings.model_copy(update={"scenes": scenes})
        if self._adapter is not None:
            self._adapter.use(self._settings)

    def _known(self) -> ObsState:
        return ObsState() if self._adapter is None else self._adapter.state
