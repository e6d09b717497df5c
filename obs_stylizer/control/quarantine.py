"""Presets that are set aside because the worker did not survive them."""

from __future__ import annotations

import logging
from pathlib import Path

from obs_stylizer.control.event_bus import ControlEvent, EventBus, EventKind
from obs_stylizer.control.on_air import OnAirState
from obs_stylizer.control.preset_state_machine import PresetStateMachine
from obs_stylizer.errors import StylizerError
from obs_stylizer.inference.locate import find_model
from obs_stylizer.presets import PresetLibrary, models_of

log = logging.getLogger(__name__)


class Quarantine:
    """Tells of presets that are set aside, and releases those whose files change.

    Args:
        machine: decides which are.
        library: all presets.
        state: what is on air, kept up to date.
        event_bus: hears of each.
    """

    def __init__(
        self,
        machine: PresetStateMachine,
        library: PresetLibrary,
        state: OnAirState,
        event_bus: EventBus,
    ) -> None:
        self._machine = machine
        self._library = library
        self._state = state
        self._event_bus = event_bus
        self._files: dict[str, object] = {}

    def add(self, name: str, reason: str) -> None:
        """Tell that a preset was set aside."""
        self._files[name] = self._files_of(name)
        text = f"preset {name} is set aside, the worker did not survive it: {reason}"
        log.error("%s; mend its file, or try again with: preset %s", text, name)
        self._state.change(style_trouble=f"the style {name} is set aside")
        details = {"preset": name, "reason": reason}
        self._event_bus.publish(ControlEvent(EventKind.PRESET_QUARANTINED, text, details))

    def release_changed(self) -> None:
        """Give presets another chance whose file or model changed."""
        for name, files in list(self._files.items()):
            if self._files_of(name) != files:
                self._machine.release(name)
                log.info("preset %s has changed and may be shown again", name)
        self.publish()

    def publish(self) -> None:
        """Take into the state which presets are set aside now."""
        quarantined = dict(self._machine.quarantined)
        for name in self._files.keys() - quarantined.keys():
            del self._files[name]
        if quarantined != self._state.on_air.quarantined:
            self._state.change(quarantined=quarantined)

    def _files_of(self, name: str) -> object:
        """Return what is another when the preset's file, or its generator's, is changed."""
        try:
            named = self._library.get(name)
            models = [find_model(model, named.path.parent) for model in models_of(named.preset)]
            return _stamp(named.path), [_stamp(model) for model in models]
        except (StylizerError, OSError):
            return None


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
