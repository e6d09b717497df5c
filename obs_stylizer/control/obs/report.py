"""What ``obs status`` tells: how things stand between OBS and the settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.control.obs.filter_setup import has_filter
from obs_stylizer.control.obs.scene_follower import SceneFollower, preset_hints, scene_hints
from obs_stylizer.control.obs.setup import INPUT_NAME
from obs_stylizer.control.obs.sound_sync import KeptOffsets
from obs_stylizer.errors import ObsError
from obs_stylizer.obs_filter.layout import VERSION
from obs_stylizer.obs_filter.listing import FilterInfo, list_filters
from obs_stylizer.settings import ObsSettings, ScenePreset
from obs_stylizer.similar_names import hint_for


@dataclass(frozen=True, slots=True)
class ObsReport:
    """Plain values, for JSON too.

    Attributes:
        scenes: each scene of OBS and what it does here, in words.
        shown_in: scenes that our picture is in.
        sound: each input to be delayed, and its offset in ms; None where there is no such input.
        script_hotkeys: how many hotkeys of our OBS script there are.
        filter_script: whether the script of our filter is loaded.
        filters: each filter of ours that a source has, and who serves it.
        hints: what is missing or wrong, and what to do.
    """

    obs: str
    websocket: str
    program: str
    preview: str
    scenes: dict[str, str]
    shown_in: tuple[str, ...]
    sound: dict[str, int | None]
    script_hotkeys: int
    filter_script: bool
    filters: dict[str, str]
    hints: tuple[str, ...]


def make_report(
    connection: Connection, settings: ObsSettings, presets: Collection[str], kept: KeptOffsets
) -> ObsReport:
    """Ask OBS for everything that the settings speak of.

    Raises:
        ObsError: it does not answer.
    """
    version = connection.ask("GetVersion")
    listed = connection.ask("GetSceneList")
    scenes = [str(scene["sceneName"]) for scene in reversed(listed["scenes"])]
    inputs = [str(item["inputName"]) for item in connection.ask("GetInputList")["inputs"]]
    hotkeys = connection.ask("GetHotkeyList")["hotkeys"]
    follower = SceneFollower(settings)
    follower.take_scenes(scenes)
    hints = [*scene_hints(settings, scenes), *preset_hints(settings, presets)]
    shown_in = _scenes_with_our_picture(connection, scenes) if INPUT_NAME in inputs else ()
    if not shown_in:
        hints.append("our picture is in no scene (obs-stylizer obs setup adds it)")
    sound = {name: _offset(connection, name) for name in settings.audio_inputs}
    hints += [
        f"OBS has no input with sound that is called “{name}” ({hint_for(name, inputs)})"
        for name, offset in sound.items()
        if offset is None
    ]
    if settings.text_input and settings.text_input not in inputs:
        there = hint_for(settings.text_input, inputs)
        hints.append(f"OBS has no input “{settings.text_input}” ({there})")
    left = [name for name in kept.read() if name not in settings.audio_inputs]
    if left:
        hints.append(
            f"the old audio offsets of {', '.join(left)} are restored when a daemon meets this OBS"
        )
    return ObsReport(
        obs=str(version["obsVersion"]),
        websocket=str(version["obsWebSocketVersion"]),
        program=str(listed["currentProgramSceneName"]),
        preview=str(listed.get("currentPreviewSceneName") or ""),
        scenes={name: in_words(follower.preset_for(name)) for name in scenes},
        shown_in=tuple(shown_in),
        sound=sound,
        script_hotkeys=sum(str(name).startswith("obs_stylizer.") for name in hotkeys),
        filter_script=has_filter(connection),
        filters={str(info): served_in_words(info) for info in list_filters()},
        hints=tuple(hints),
    )


def served_in_words(info: FilterInfo) -> str:
    """Say who serves a filter of ours."""
    if info.version != VERSION:
        return f"of version {info.version}, which this obs-stylizer does not know"
    if not info.is_served:
        return "nobody serves it: the source is shown as it is"
    seen = "" if info.is_seen else ", but its source is not shown"
    return f"served by process {info.served_by}{seen}"


def in_words(scene_preset: ScenePreset) -> str:
    """Say what a scene does here."""
    parts = [f"preset {scene_preset.preset}"] if scene_preset.preset else []
    if scene_preset.strength is not None:
        parts.append(f"strength {scene_preset.strength:g}")
    if scene_preset.preset and scene_preset.crossfade_ms is not None:
        parts.append(f"in {scene_preset.crossfade_ms:g} ms")
    return ", ".join(parts) or "leaves all as it is"


def _scenes_with_our_picture(connection: Connection, scenes: list[str]) -> list[str]:
    found = []
    for scene in scenes:
        items: list[dict[str, Any]] = connection.ask("GetSceneItemList", sceneName=scene)[
            "sceneItems"
        ]
        if any(item["sourceName"] == INPUT_NAME for item in items):
            found.append(scene)
    return found


def _offset(connection: Connection, name: str) -> int | None:
    try:
        return int(
            connection.ask("GetInputAudioSyncOffset", inputName=name)["inputAudioSyncOffset"]
        )
    except ObsError as error:
        if error.code:
            return None
        raise
