"""OBS: reachable, of a version that will do, with the right password and the named scenes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from obs_stylizer.control.obs.filter_setup import runs_here
from obs_stylizer.control.obs.report import served_in_words
from obs_stylizer.doctor import copyable
from obs_stylizer.doctor.findings import Finding, Notes
from obs_stylizer.doctor.obs_probe import Reception, Visit, visit
from obs_stylizer.doctor.situation import Situation
from obs_stylizer.errors import SourceLostError
from obs_stylizer.obs_filter.layout import VERSION
from obs_stylizer.obs_filter.listing import filter_folders, list_filters, own_folder
from obs_stylizer.presets import BYPASS, PresetLibrary
from obs_stylizer.settings import ObsSettings, is_this_machine, preset_folders
from obs_stylizer.similar_names import find_alike, hint_for
from obs_stylizer.sinks.listing import list_virtual_cameras

_SECONDS: Final = 4.0
_OLDEST: Final = 28
"""The first OBS that brings the websocket server which we speak to."""

_OLDEST_ON_MACOS: Final = 30
"""The first OBS whose virtual camera is a camera extension, which other programs accept."""

_SWITCH: Final = "in OBS: Tools ▸ WebSocket Server Settings ▸ Enable WebSocket server"
_PASSWORD: Final = "OBS_WEBSOCKET_PASSWORD"  # noqa: S105 - the name of a variable


def examine(notes: Notes, situation: Situation) -> Iterator[Finding]:
    """Yield the findings of this area."""
    settings = situation.settings.obs
    seen = visit(settings.host, settings.port, settings.secret, _SECONDS)
    if seen.reception is not Reception.WELCOME:
        yield _turned_away(notes, settings, seen)
    else:
        yield from _welcomed(notes, settings, seen)
    yield from _named_presets(notes, settings)
    yield _filters(notes)


def _filters(notes: Notes) -> Finding:
    """The filters on sources, by the files that they share with a daemon."""
    name = "filter on sources"
    for folder in filter_folders():
        if folder.exists():
            try:
                own_folder(folder)
            except SourceLostError as error:
                return notes.fault(name, error.message, error.remedy)
    found = list_filters()
    other = [info.version for info in found if info.version != VERSION]
    if other:
        return notes.fault(
            name,
            f"the script in OBS speaks version {other[0]} of its protocol, this program {VERSION}",
            "update the older one; the script is where this says:",
            copyable.program("obs", "status"),
        )
    if not found:
        return notes.ok(name, "none wants a style now")
    return notes.ok(name, "; ".join(f"{info}: {served_in_words(info)}" for info in found))


def _turned_away(notes: Notes, settings: ObsSettings, seen: Visit) -> Finding:
    where = settings.address
    match seen.reception:
        case Reception.WRONG_PASSWORD if settings.secret:
            return notes.fault(
                "password",
                f"OBS at {where} refuses the password in "
                + (_PASSWORD if os.environ.get(_PASSWORD) else "the configuration"),
                "in OBS: Tools ▸ WebSocket Server Settings ▸ Show Connect Info; put that one into "
                "obs: password: of the configuration, or:",
                _set_password(),
            )
        case Reception.WRONG_PASSWORD:
            return notes.fault(
                "password",
                f"OBS at {where} wants a password, and none is configured",
                "in OBS: Tools ▸ WebSocket Server Settings ▸ Show Connect Info; put it into "
                "obs: password: of the configuration, or:",
                _set_password(),
            )
        case Reception.OLD:
            return notes.fault(
                "OBS", f"what answers at {where} is older than OBS {_OLDEST}", "update OBS"
            )
        case Reception.STRANGER:
            return notes.fault(
                "OBS",
                f"another program than OBS answers at {where}",
                f"{_SWITCH}, on a port that is free, and put it into obs: port:",
            )
        case Reception.SILENT:
            return notes.warning(
                "OBS", f"{where} does not answer", "is the machine on, and its firewall open?"
            )
        case Reception.NOBODY if runs_here() and is_this_machine(settings.host):
            return notes.warning(
                "OBS", f"runs, but nothing listens at {where}: its server is off", _SWITCH
            )
        case Reception.NOBODY:
            if settings.is_wanted:
                return notes.warning("OBS", f"not running at {where}, but configured", "start OBS")
            return notes.ok("OBS", f"not running at {where}, nor configured")
    return notes.warning("OBS", f"{where} broke off: {seen.details}", "start OBS anew")


def _welcomed(notes: Notes, settings: ObsSettings, seen: Visit) -> Iterator[Finding]:
    where = settings.address
    text = f"OBS {seen.obs_version}, websocket {seen.websocket_version}, at {where}"
    major = re.match(r"\d+", seen.obs_version)
    number = int(major.group()) if major else _OLDEST
    if number < _OLDEST:
        yield notes.fault("OBS", f"{text} is too old", f"update it to {_OLDEST} or newer")
    elif sys.platform == "darwin" and number < _OLDEST_ON_MACOS:
        yield notes.warning(
            "OBS",
            f"{text}: its virtual camera is not accepted by current programs",
            f"update it to {_OLDEST_ON_MACOS} or newer",
        )
    else:
        yield notes.ok("OBS", text)
    if seen.needs_password:
        yield notes.ok("password", "is right")
    else:
        yield notes.warning(
            "password",
            "OBS asks for none: every program of this machine can control it",
            "in OBS: Tools ▸ WebSocket Server Settings ▸ Enable Authentication",
        )
    yield from _named_things(notes, settings, seen)
    if seen.virtual_camera:
        yield _its_own_camera(notes)


def _named_things(notes: Notes, settings: ObsSettings, seen: Visit) -> Iterator[Finding]:
    """Compare the scenes and inputs that the configuration names with those that OBS has."""
    scenes = dict.fromkeys([*settings.scenes, *settings.presets.values()])
    inputs = dict.fromkeys([*settings.audio_inputs, *filter(None, [settings.text_input])])
    for kind, named, there in (("scene", scenes, seen.scenes), ("input", inputs, seen.inputs)):
        missing = [name for name in named if not _is_there(kind, name, there)]
        for name in missing:
            yield notes.warning(
                f"{kind} “{name}”",
                f"is in the configuration, but not in OBS's collection “{seen.collection}”",
                hint_for(name, there),
            )
        if named and not missing:
            yield notes.ok(f"{kind}s", f"all {len(named)} that are configured are there")


def _is_there(kind: str, name: str, there: tuple[str, ...]) -> bool:
    """Whether OBS has it; scenes are found by names that only look the same, too."""
    return name in there if kind == "input" else find_alike(name, there) is not None


def _named_presets(notes: Notes, settings: ObsSettings) -> Iterator[Finding]:
    scene_presets = [*settings.scenes.values(), settings.default]
    named = [
        *(scene_preset.preset for scene_preset in scene_presets if scene_preset.preset),
        *settings.presets,
    ]
    if not named:
        return
    names = PresetLibrary(preset_folders()).names()
    for preset in dict.fromkeys(named):
        if preset not in (*names, BYPASS):
            near = get_close_matches(preset, names, n=1)
            yield notes.fault(
                f"preset “{preset}”",
                "belongs to an OBS scene in the configuration, but does not exist",
                f"did you mean “{near[0]}”? All of them:" if near else "choose another:",
                copyable.program("presets", "list"),
            )


def _its_own_camera(notes: Notes) -> Finding:
    if len(list_virtual_cameras()) > 1:
        return notes.ok("OBS's virtual camera", "is on; there is another one for us")
    return notes.warning(
        "OBS's virtual camera",
        "is on, and there is no second device: we cannot send to it at the same time",
        "stop it in OBS, or have a second device (see “Virtual cameras”), or stream into OBS:",
        copyable.program("run", "--sink", "http"),
    )


def _set_password() -> str:
    if sys.platform == "win32":
        return f"set {_PASSWORD}=…"
    return f"export {_PASSWORD}=…"
