"""OBS as the panel sees it: the OBS control surface's state, and its scene map in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from obs_stylizer.control.api import ControlApi, ControlSurface
from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.settings import ObsSettings, ScenePreset
from obs_stylizer.web.settings_file import change_section, replace_values

if TYPE_CHECKING:
    from obs_stylizer.control.obs.obs_control import ObsControl


class SceneMapSettings:
    """See :class:`obs_stylizer.web.obs_routes.SceneMapApi`.

    Args:
        settings: of OBS, as read from ``config``.
        config: the file that maps are saved in; it need not exist.

    Attributes:
        control: whoever talks to OBS; None until it is made.
    """

    def __init__(self, settings: ObsSettings, config: Path) -> None:
        self._settings = settings
        self._config = config
        self.control: ObsControl | None = None

    def make(self, api: ControlApi) -> ControlSurface:
        """Make the OBS control surface."""
        from obs_stylizer.control.obs.obs_control import ObsControl

        self.control = ObsControl(self._settings, api)
        return self.control

    def describe(self) -> dict[str, Any]:
        """Return everything the panel shows."""
        state: dict[str, Any] = {}
        if self.control is not None:
            state = asdict(self.control.state)
        scenes = list(state.pop("scenes", ()))
        return {
            "enabled": self.control is not None,
            "state": state,
            "scenes": scenes,
            "scene_map": {
                name: _shown(scene_preset) for name, scene_preset in self._settings.scenes.items()
            },
            "default": _shown(self._settings.default),
        }

    def save(self, scene_map: Mapping[str, Any]) -> None:
        """Write the map into the settings and follow it.

        Raises:
            StylizerError: it is wrong, or cannot be written; nothing has changed.
        """
        if self.control is None:
            raise StylizerError("OBS is not being looked for yet", "try again in a moment")
        try:
            wanted = ObsSettings(
                scenes=scene_map["scene_map"], default=scene_map.get("default") or ScenePreset()
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"the scene map: {where}: {first['msg']}", "correct it") from error

        def change(section: dict[str, Any]) -> None:
            scenes = section.get("scenes")
            if not isinstance(scenes, dict):
                scenes = section["scenes"] = {}
            # A scene that means the same as before keeps the form that it was written in.
            written = {
                name: scenes[name]
                if name in scenes and scene_preset == self._settings.scenes.get(name)
                else _written(scene_preset)
                for name, scene_preset in wanted.scenes.items()
            }
            replace_values(scenes, written)
            if wanted.default != self._settings.default:
                section["default"] = _written(wanted.default)

        settings = change_section(self._config, "obs", change)
        # Only the map: whatever else was edited in the file meanwhile needs a new start.
        self._settings = self._settings.model_copy(
            update={"scenes": settings.obs.scenes, "default": settings.obs.default}
        )
        self.control.use(self._settings)


def _shown(scene_preset: ScenePreset) -> dict[str, Any]:
    return scene_preset.model_dump(exclude_none=True)


def _written(scene_preset: ScenePreset) -> str | dict[str, Any]:
    """Return the shortest way to write it."""
    if scene_preset == ScenePreset():
        return "leave"
    # “leave” alone is none of the presets, even where one has that name.
    if (
        scene_preset.strength is None
        and scene_preset.crossfade_ms is None
        and scene_preset.preset != "leave"
    ):
        return scene_preset.preset
    values = scene_preset.model_dump(exclude_none=True, exclude_defaults=True)
    # As people write it: 200, not 200.0.
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in values.items()
    }
