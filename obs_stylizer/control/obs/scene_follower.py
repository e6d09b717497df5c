"""What a scene does to our presets and a preset to OBS's scenes, without ever going in circles.

A scene that we switched to applies no preset, and a preset that a scene applied, or that the
scene on air asks for anyway, switches no scene. So every choice of a person's ends after at
most one consequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from obs_stylizer.settings import ObsSettings, ScenePreset
from obs_stylizer.similar_names import find_alike, hint_for, nearest

LEAVE: Final = ScenePreset()
_SWITCHED_WITHIN_SECONDS: Final = 5.0
_REMEMBERED: Final = 64


class SceneFollower:
    """Knows the maps of the settings, and which changes are echoes of our own. One thread only."""

    def __init__(self, settings: ObsSettings) -> None:
        self._settings = settings
        self._now_called: dict[str, str] = {}
        self._ours: deque[int] = deque(maxlen=_REMEMBERED)
        self._switching: tuple[str, float] | None = None
        self._preset = ""
        self.program = ""
        """The program scene, "" while it is not known."""

    def take_scenes(self, scenes: Collection[str]) -> None:
        """Take in which scenes there are: a name may be written with other characters there."""
        for name in self.named():
            there = find_alike(name, scenes)
            if there is not None and self._now_called.get(name) not in scenes:
                self._now_called[name] = there

    def preset_for(self, scene: str) -> ScenePreset:
        """Return what a scene asks for; nothing at all is to leave everything as it is."""
        for name, scene_preset in self._settings.scenes.items():
            if self._now_called.get(name, name) == scene:
                return scene_preset
        return self._settings.default

    def take_program(self, scene: str, now: float) -> ScenePreset:
        """Take in that this is the program scene; return what is to be applied for it."""
        known, self.program = self.program, scene
        if self._switching is not None:
            asked, until = self._switching
            if now > until or asked == scene:
                self._switching = None
            if asked == scene and now <= until:
                return LEAVE
        return LEAVE if scene == known else self.preset_for(scene)

    def take_own_request(self, request_id: int) -> None:
        """Take in that the preset of that request was applied for a scene."""
        self._ours.append(request_id)

    def take_preset(self, preset: str, request_id: int, now: float) -> str | None:
        """Take in what is on air; return the scene that OBS should switch to, if any."""
        before, self._preset = self._preset, preset
        wanted = self._settings.presets.get(preset)
        # The first of all was on air before anybody chose.
        if preset == before or not before or wanted is None:
            return None
        if not self.program or request_id in self._ours:
            return None
        scene = self._now_called.get(wanted, wanted)
        if scene == self.program or self.preset_for(self.program).preset == preset:
            return None
        self._switching = (scene, now + _SWITCHED_WITHIN_SECONDS)
        return scene

    def forget_switch(self) -> None:
        """Take in that OBS did not switch as asked."""
        self._switching = None

    def rename(self, old: str, new: str) -> bool:
        """Follow a scene to its new name; returns whether the settings name it."""
        if self.program == old:
            self.program = new
        for name in self.named():
            if self._now_called.get(name, name) == old:
                self._now_called[name] = new
                return True
        return False

    def named(self) -> list[str]:
        """All scenes that the settings name."""
        return list(dict.fromkeys([*self._settings.scenes, *self._settings.presets.values()]))

    def is_named(self, scene: str) -> bool:
        """Whether the settings name a scene, perhaps by an earlier name."""
        return any(self._now_called.get(name, name) == scene for name in self.named())


def scene_hints(settings: ObsSettings, scenes: Collection[str]) -> list[str]:
    """Return a line for each scene of the settings that OBS does not have."""
    return [
        f"OBS has no scene “{name}” ({hint_for(name, scenes)})"
        for name in SceneFollower(settings).named()
        if find_alike(name, scenes) is None
    ]


def preset_hints(settings: ObsSettings, presets: Collection[str]) -> list[str]:
    """Return a line for each preset of the settings that there is not."""
    named = [scene_preset.preset for scene_preset in (*settings.scenes.values(), settings.default)]
    hints = []
    for name in dict.fromkeys([*filter(None, named), *settings.presets]):
        if find_alike(name, presets) is not None:
            continue
        there = nearest(name, presets) or "see: obs-stylizer presets list"
        hints.append(f"obs: there is no preset “{name}” ({there})")
    return hints
