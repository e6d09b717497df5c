"""Puts our filter on a source of OBS: while OBS runs over its socket, else into its files."""

from __future__ import annotations

import configparser
import json
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from obs_stylizer.control.obs.connection import Connection
from obs_stylizer.errors import ObsError
from obs_stylizer.obs_filter.listing import FLATPAK
from obs_stylizer.similar_names import hint_for

log = logging.getLogger(__name__)

FILTER_KIND: Final = "obs_stylizer_filter"
FILTER_NAME: Final = "obs-stylizer"

_PROGRAMS: Final = frozenset({"obs", "obs64.exe", "obs32.exe", "obs.exe"})
_SCRIPTS: Final = "scripts-tool"


@dataclass(frozen=True, slots=True)
class FilterPlan:
    """What has to be done, and in which words to ask for it.

    Attributes:
        source: the OBS source, group or scene.
        steps: what will be done; empty where all is there.
    """

    source: str
    steps: tuple[str, ...]


def has_filter(connection: Connection) -> bool:
    """Whether OBS has loaded our script."""
    try:
        connection.ask("GetSourceFilterDefaultSettings", filterKind=FILTER_KIND)
    except ObsError as error:
        if error.code:
            return False
        raise
    return True


def plan_in_obs(connection: Connection, source: str, script: Path) -> FilterPlan:
    """Look at a running OBS and decide what is missing; nothing is changed.

    Raises:
        ObsError: there is no such source, or OBS has not loaded the script, which it lets nobody
            do for the user.
    """
    scenes = [str(item["sceneName"]) for item in connection.ask("GetSceneList")["scenes"]]
    inputs = [str(item["inputName"]) for item in connection.ask("GetInputList")["inputs"]]
    groups = [str(name) for name in connection.ask("GetGroupList")["groups"]]
    _check_name(source, [*inputs, *groups, *scenes])
    if not has_filter(connection):
        raise ObsError(
            "this OBS has not loaded the script of the filter",
            f"in OBS: Tools, Scripts, +, choose {script}, and do this again; or end OBS and do "
            "this again, which then adds script and filter",
        )
    filters = connection.ask("GetSourceFilterList", sourceName=source)["filters"]
    if any(item["filterKind"] == FILTER_KIND for item in filters):
        return FilterPlan(source, ())
    return FilterPlan(source, (_filter_step(source),))


def carry_out_in_obs(connection: Connection, plan: FilterPlan) -> None:
    """Add the filter.

    Raises:
        ObsError: OBS refuses.
    """
    if plan.steps:
        connection.ask(
            "CreateSourceFilter",
            sourceName=plan.source,
            filterName=FILTER_NAME,
            filterKind=FILTER_KIND,
            filterSettings={},
        )


def runs_here() -> bool:
    """Whether an OBS runs on this machine."""
    names = (process.info["name"] for process in psutil.process_iter(["name"]))
    return any((name or "").lower() in _PROGRAMS for name in names)


class SceneCollection:
    """The scene collection that OBS will begin with, in its file. Only while OBS does not run.

    Raises:
        ObsError: there is none, or it cannot be read.
    """

    def __init__(self) -> None:
        self.path = _collection_file()
        try:
            self._data: dict[str, Any] = json.loads(self.path.read_text("utf-8-sig"))
            self._sources: list[dict[str, Any]] = [
                *self._data["sources"],
                *self._data.get("groups", []),
            ]
            self._names = [str(source["name"]) for source in self._sources]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ObsError(f"{self.path} cannot be read: {error}", "start OBS once") from error

    def plan(self, source: str, script: Path) -> FilterPlan:
        """Decide what is missing; nothing is changed.

        Raises:
            ObsError: there is no such source.
        """
        _check_name(source, self._names)
        steps = []
        if not self._has_script(script):
            steps.append(f"add the script {script} to OBS's scripts")
        if not any(item.get("id") == FILTER_KIND for item in self._filters(source)):
            steps.append(_filter_step(source))
        return FilterPlan(source, tuple(steps))

    def carry_out(self, plan: FilterPlan, script: Path) -> Path:
        """Write what is missing, and return where a copy of the file as it was lies.

        Raises:
            ObsError: it cannot be written, or OBS was started meanwhile.
        """
        if runs_here():
            raise ObsError("OBS was started meanwhile", "end it, and do this again")
        if not self._has_script(script):
            self._scripts().append({"path": str(script), "settings": {}})
        filters = self._filters(plan.source)
        if not any(item.get("id") == FILTER_KIND for item in filters):
            filters.append({"id": FILTER_KIND, "name": FILTER_NAME, "settings": {}})
        kept = self.path.with_suffix(".before-obs-stylizer.json.bak")
        made = self.path.with_suffix(".obs-stylizer.tmp")
        try:
            shutil.copy2(self.path, kept)
            made.write_text(json.dumps(self._data, indent=4, ensure_ascii=False), "utf-8")
            made.replace(self.path)
        except OSError as error:
            raise ObsError(f"{self.path} cannot be written: {error}") from error
        return kept

    def _scripts(self) -> list[dict[str, Any]]:
        scripts: list[dict[str, Any]] = self._data.setdefault("modules", {}).setdefault(
            _SCRIPTS, []
        )
        return scripts

    def _has_script(self, script: Path) -> bool:
        return any(Path(str(item.get("path"))) == script for item in self._scripts())

    def _filters(self, source: str) -> list[dict[str, Any]]:
        filters: list[dict[str, Any]] = self._sources[self._names.index(source)].setdefault(
            "filters", []
        )
        return filters


def obs_folders() -> list[Path]:
    """Where OBS may keep its settings; a Flatpak's are elsewhere. Only Linux's have been tried."""
    if sys.platform == "win32":
        return [Path(os.environ.get("APPDATA", "")) / "obs-studio"]
    if sys.platform == "darwin":
        return [Path.home() / "Library" / "Application Support" / "obs-studio"]
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    flatpak = Path.home() / ".var" / "app" / FLATPAK / "config"
    return [Path(config) / "obs-studio", flatpak / "obs-studio"]


def _collection_file() -> Path:
    for folder in obs_folders():
        # OBS 31 and newer keep it in the first, older ones in the second.
        for name in ("user.ini", "global.ini"):
            read = configparser.ConfigParser(strict=False, interpolation=None)
            try:
                read.read(folder / name, "utf-8-sig")
                chosen = read.get("Basic", "SceneCollectionFile", fallback="")
            except (configparser.Error, UnicodeDecodeError) as error:
                log.debug("%s cannot be read: %s", folder / name, error)
                continue
            if chosen:
                return folder / "basic" / "scenes" / f"{chosen.removesuffix('.json')}.json"
    raise ObsError("OBS has no scene collection here", "start OBS once, then do this again")


def _check_name(source: str, names: list[str]) -> None:
    if source not in names:
        raise ObsError(f"OBS has no source “{source}”", hint_for(source, names))


def _filter_step(source: str) -> str:
    return f"put the filter “{FILTER_NAME}” on “{source}”"
