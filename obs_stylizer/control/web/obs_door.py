"""OBS as the panel sees it: the OBS adapter's state, and its scene map in the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from obs_stylizer.control.desk import Adapter, Desk
from obs_stylizer.control.web.settings_file import as_text, change_section, replace_values
from obs_stylizer.errors import StylizerError, UsageError
from obs_stylizer.settings import ObsSettings, SceneLook

if TYPE_CHECKING:
    from obs_stylizer.control.obs.adapter import ObsAdapter


class ObsInSettings:
    """See :class:`obs_stylizer.control.web.obs_routes.ObsDoor`.

    Args:
        settings: of OBS, as read from ``config``.
        config: the file that maps are saved in; it need not exist.

    Attributes:
        adapter: whoever talks to OBS; None until it is made.
    """

    def __init__(self, settings: ObsSettings, config: Path) -> None:
        self._settings = settings
        self._config = config
        self.adapter: ObsAdapter | None = None

    def make(self, desk: Desk) -> Adapter:
        """Make the OBS adapter (an :data:`~obs_stylizer.control.desk.AdapterMaker`)."""
        from obs_stylizer.control.obs.adapter import ObsAdapter

        self.adapter = ObsAdapter(self._settings, desk)
        return self.adapter

    def describe(self) -> dict[str, Any]:
        """Return everything the panel shows."""
        state: dict[str, Any] = {}
        if self.adapter is not None:
            state = asdict(self.adapter.state)
        scenes = list(state.pop("scenes", ()))
        return {
            "enabled": self.adapter is not None,
            "state": state,
            "scenes": scenes,
            "scene_map": {name: _shown(look) for name, look in self._settings.scenes.items()},
            "default": _shown(self._settings.default),
        }

    def save(self, scene_map: Mapping[str, Any]) -> None:
        """Write the map into the settings and follow it.

        Raises:
            StylizerError: it is wrong, or cannot be written; nothing has changed.
        """
        if self.adapter is None:
            raise StylizerError("OBS is not being looked for yet", "try again in a moment")
        try:
            wanted = ObsSettings(
                scenes=scene_map["scene_map"], default=scene_map.get("default") or SceneLook()
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
                as_text(name): scenes[name]
                if name in scenes and look == self._settings.scenes.get(name)
                else _written(look)
                for name, look in wanted.scenes.items()
            }
            replace_values(scenes, written)
            if wanted.default != self._settings.default:
                section["default"] = _written(wanted.default)

        settings = change_section(self._config, "obs", change)
        # Only the map: whatever else was edited in the file meanwhile needs a new start.
        self._settings = self._settings.model_copy(
            update={"scenes": settings.obs.scenes, "default": settings.obs.default}
        )
        self.adapter.use(self._settings)


def _shown(look: SceneLook) -> dict[str, Any]:
    return look.model_dump(exclude_none=True)


def _written(look: SceneLook) -> str | dict[str, Any]:
    """Return the shortest way to write it."""
    if look == SceneLook():
        return "leave"
    # “leave” alone is none of the presets, even where one has that name.
    if look.strength is None and look.crossfade_ms is None and look.preset != "leave":
        return as_text(look.preset)
    values = look.model_dump(exclude_none=True, exclude_defaults=True)
    if look.preset:
        values["preset"] = as_text(look.preset)
    # As people write it: 200, not 200.0.
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in values.items()
    }
