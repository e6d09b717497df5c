"""Changes one section of ``config.yaml`` and leaves the rest, comments and all, as it was."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.resolver import VersionedResolver

from obs_stylizer.documents import MAX_BYTES, parse_document
from obs_stylizer.errors import SettingsError
from obs_stylizer.settings import Settings
from obs_stylizer.yaml_text import LINE_ENDS, PLAIN_FORMS, read_yaml

_PRIVATE: Final = 0o600


class _Resolver(VersionedResolver):
    """Tells text from the rest exactly as our reader does, and so writes what that reads."""

    @property
    def versioned_resolver(self) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
        return PLAIN_FORMS


class _Representer(RoundTripRepresenter):
    """Escapes what ends a line to our reader, and to YAML 1.2 no more."""

    def represent_text(self, text: str) -> ScalarNode:
        style = '"' if LINE_ENDS.intersection(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Representer.add_representer(str, _Representer.represent_text)


def change_section(path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Settings:
    """Let ``change`` alter the section ``name``, write the file, and return what it says now.

    Raises:
        SettingsError: it cannot be read or written, or would not be valid; it is as it was.
    """
    path = path.resolve()
    text, mode = _read(path)
    # Whatever is no document of ours is found and explained here, ahead of the one that writes.
    before, _ = read_yaml(text, path, SettingsError)
    round_trip = YAML()
    round_trip.Resolver = _Resolver
    round_trip.Representer = _Representer
    round_trip.preserve_quotes = True
    round_trip.width = 4096
    mapping, offset = _indents(text)
    round_trip.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    try:
        document = round_trip.load(text)
    except (YAMLError, ValueError) as error:
        raise SettingsError(f"cannot be changed: {error}", "correct it first", path=path) from error
    if document is None:
        # ruamel forgets the comments of a file without a single key.
        document, comments = CommentedMap(), text if text.strip() else ""
    else:
        comments = ""
    section = document.get(name)
    if not isinstance(section, dict):
        section = document[name] = CommentedMap()
    change(section)
    written = io.StringIO()
    round_trip.dump(document, written)
    result = comments + written.getvalue()
    settings = parse_document(result, path, Settings, SettingsError)
    after, _ = read_yaml(result, path, SettingsError)
    if {**before, name: None} != {**after, name: None}:
        raise SettingsError(
            "cannot be changed without changing more of it", "edit it by hand", path=path
        )
    _write(path, result, mode)
    return settings


def replace_values(target: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Make ``target`` equal to ``wanted``; what is the same already keeps its form and comments."""
    for key in [key for key in target if key not in wanted]:
        del target[key]
    for key, value in wanted.items():
        if key not in target or target[key] != value:
            target[key] = value


def _indents(text: str) -> tuple[int, int]:
    """Return by how many spaces the file's author indents keys, and the dashes of lists."""
    mapping = offset = None
    key_at = None
    for line in text.splitlines():
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        here = len(line) - len(line.lstrip())
        if key_at is not None and content.startswith("- ") and offset is None:
            offset = max(0, here - key_at)
        elif key_at is not None and here > key_at and mapping is None:
            mapping = here - key_at
        key_at = here if content.partition(" #")[0].rstrip().endswith(":") else None
    return mapping or 2, offset or 0


def _read(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode & 0o777
            return stream.read(MAX_BYTES).decode("utf-8"), mode
    except FileNotFoundError:
        return "", _PRIVATE
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", path=path) from error


def _write(path: Path, text: str, mode: int) -> None:
    """Put a whole new file in place of the old one, so that nobody ever sees half of it."""
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(number, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(scratch).chmod(mode)
        Path(scratch).replace(path)
    except OSError as error:
        if scratch is not None:
            with contextlib.suppress(OSError):
                Path(scratch).unlink()
        remedy = "make the file and its folder writable"
        raise SettingsError(f"cannot be written: {error}", remedy, path=path) from error
