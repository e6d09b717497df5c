"""YAML files of the user's, checked by pydantic, with errors that name file, line and key.

Settings, presets and recipes are all read through :func:`load_document`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from obs_stylizer.errors import DocumentError
from obs_stylizer.yaml_text import read_yaml

MAX_BYTES = 1_000_000


class Section(BaseModel):
    """Base of every piece of a document: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Document = TypeVar("Document", bound=BaseModel)


def load_document(
    path: Path, schema: type[Document], error: type[DocumentError] = DocumentError
) -> Document:
    """Read ``path`` as YAML and check it against ``schema``.

    Raises:
        DocumentError: (or the subclass passed as ``error``) the file is missing, unreadable,
            no YAML, or does not fit; file, line and key are named.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except FileNotFoundError:
        raise error("there is no such file", path=path) from None
    except (OSError, UnicodeDecodeError) as cause:
        raise error(f"cannot be read: {cause}", path=path) from cause
    if len(raw) > MAX_BYTES:
        raise error("is larger than a megabyte, so it is no file of ours", path=path)
    return parse_document(text, path, schema, error)


def parse_document(
    text: str, path: Path, schema: type[Document], error: type[DocumentError] = DocumentError
) -> Document:
    """Check YAML ``text`` against ``schema``; ``path`` is only named in errors.

    Raises:
        DocumentError: (or ``error``) as :func:`load_document`.
    """
    values, root = read_yaml(text, path, error)
    try:
        return schema.model_validate(values)
    except ValidationError as cause:
        raise _explain(cause, root, path, schema, error) from cause


def _explain(
    cause: ValidationError,
    root: yaml.Node | None,
    path: Path,
    schema: type[BaseModel],
    error: type[DocumentError],
) -> DocumentError:
    """Turn pydantic's first complaint into one line that names the place and the remedy."""
    first = cause.errors(include_url=False)[0]
    location = [part for part in first["loc"] if isinstance(part, str | int)]
    line, known = _line_of(root, location)
    key = ".".join(str(part) for part in location[:known] or location)
    remedy = ""
    message = str(first["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if first["type"] == "extra_forbidden":
        message = "is no known key"
        names = sorted(_fields_at(schema, location[:-1]))
        near = difflib.get_close_matches(str(location[-1]), names, n=1)
        known_keys = f"known keys: {', '.join(names)}" if names else ""
        remedy = f"did you mean “{near[0]}”?" if near else known_keys
    elif first["type"] == "missing":
        message, remedy = "is missing", "add it"
    else:
        message = message[:1].lower() + message[1:]
        given = first.get("input")
        shown = isinstance(given, str | int | float | bool) and f"“{given}”" not in message
        if shown and location[-1:] != ["password"]:
            message += f", not {given!r}"
        if first["type"] == "string_type" and isinstance(given, int | float):
            remedy = "put it in quotation marks"
    more = cause.error_count() - 1
    if more:
        message += f" (and {more} more)"
    return error(message, remedy, path=path, line=line, key=key)


def _line_of(root: yaml.Node | None, location: Sequence[str | int]) -> tuple[int | None, int]:
    """Return the line where ``location`` stands and how many of its parts the file has."""
    node, line = root, root.start_mark.line + 1 if root else None
    for depth, part in enumerate(location):
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    node, line = value, key.start_mark.line + 1
                    break
            else:
                return line, len(location) if depth == len(location) - 1 else depth
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            if part >= len(node.value):
                return line, depth
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line, depth
    return line, len(location)


def _fields_at(schema: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """Return the names allowed at ``location`` inside ``schema``, as far as they can be told."""
    current: Any = schema
    for part in location:
        if isinstance(part, int):
            continue
        if get_origin(current) is dict:
            # A part that is the user's own name for something.
            inside = get_args(current)[1]
        else:
            known = getattr(current, "model_fields", {})
            if part not in known:
                return set(known)
            inside = known[part].annotation
        current = _section_in(inside)
    return set(getattr(current, "model_fields", {}))


def _section_in(annotation: Any) -> Any:
    """Return the section, or the mapping of sections, that a field holds; None for neither."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        if get_origin(candidate) is dict:
            return candidate
    return None
