"""Writes the scene map into ``config.yaml`` and leaves everything else in it as it was."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from obs_stylizer.documents import parse_document
from obs_stylizer.errors import SettingsError
from obs_stylizer.settings import ObsSettings, SceneLook, Settings

_BY_HAND = "edit the file by hand"


def as_written(look: SceneLook) -> Any:
    """Return what a scene asks for in its shortest form, as in the settings."""
    values = look.model_dump(exclude_defaults=True)
    if not values:
        return "leave"
    # A preset of that name is told from the word by the long form.
    if list(values) == ["preset"] and look.preset != "leave":
        return look.preset
    return values


def read_scene_map(scene_map: Mapping[str, Any]) -> dict[str, SceneLook]:
    """Read a map as it stands in the settings.

    Raises:
        SettingsError: it is wrong.
    """
    from pydantic import ValidationError

    try:
        return ObsSettings.model_validate({"scenes": dict(scene_map)}).scenes
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"{where}: {message[:1].lower()}{message[1:]}") from None


def save_scenes(config: Path, scenes: Mapping[str, SceneLook]) -> None:
    """Put the map into the file, comments and all else kept.

    Raises:
        SettingsError: the file cannot be read, changed or written; it is as it was.
    """
    config = config.resolve()
    try:
        before = config.read_text("utf-8") if config.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", path=config) from error
    old = parse_document(before, config, Settings, SettingsError)
    after = _with_scenes(before, scenes, config)
    # Whatever the file's author did in it, nothing but the map may be another now.
    new = parse_document(after, config, Settings, SettingsError)
    if new != old.model_copy(update={"obs": old.obs.model_copy(update={"scenes": dict(scenes)})}):
        raise SettingsError("cannot be changed without harm to the rest", _BY_HAND, path=config)
    _write(config, after)


def _with_scenes(text: str, scenes: Mapping[str, SceneLook], config: Path) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    def written(value: Any) -> Any:
        if isinstance(value, dict):
            made = CommentedMap((key, written(inner)) for key, inner in value.items())
            made.fa.set_flow_style()
            return made
        # A scene may be called “on” or “1”: quoted, it is read as text by everybody.
        return DoubleQuotedScalarString(value) if isinstance(value, str) else value

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        document = yaml.load(text)
        if document is None:
            document = CommentedMap()
        if document.get("obs") is None:
            document["obs"] = CommentedMap()
        document["obs"]["scenes"] = CommentedMap(
            (written(name), written(as_written(look))) for name, look in scenes.items()
        )
        made = io.StringIO()
        yaml.dump(document, made)
    except (YAMLError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(f"cannot be changed: {error}", _BY_HAND, path=config) from error
    return made.getvalue()


def _write(config: Path, text: str) -> None:
    """Replace the file at once, with the rights it had: a password may stand in it."""
    scratch = config.with_name(f".{config.name}.{os.getpid()}")
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        mode = config.stat().st_mode & 0o777 if config.exists() else 0o600
        number = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(text)
        scratch.chmod(mode)
        scratch.replace(config)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise SettingsError(f"cannot be written: {error}", path=config) from error
