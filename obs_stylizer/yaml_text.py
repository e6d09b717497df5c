"""The one place that reads YAML: text in; plain values, and the nodes that know their lines, out.

The rules are those of YAML 1.2's core schema: ``on``, ``1:30`` and ``2025-02-30`` are text, and so
is every key. PyYAML does the parsing. What it leaves open is closed here, since the user's files
are read by threads that must live: how deep and how long a document may be, what refers to itself,
and values that do not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from obs_stylizer.errors import DocumentError

_MAX_DEPTH: Final = 40
_MAX_NODES: Final = 20_000
"""Values in a document, those that anchors repeat counted each time."""

_TAG: Final = "tag:yaml.org,2002:"
_STR, _MAP, _SEQ = f"{_TAG}str", f"{_TAG}map", f"{_TAG}seq"
_NULL, _BOOL, _INT, _FLOAT, _MERGE = (
    f"{_TAG}{name}" for name in ("null", "bool", "int", "float", "merge")
)
_WHAT: Final = {_NULL: "nothing", _BOOL: "truth value", _INT: "whole number", _FLOAT: "number"}
_DIGITS: Final = tuple("0123456789")
_FORMS: Final = (
    (_NULL, r"(?:~|null|Null|NULL|)\Z", ("~", "n", "N", "")),
    (_BOOL, r"(?:true|True|TRUE|false|False|FALSE)\Z", ("t", "T", "f", "F")),
    (_INT, r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z", ("-", "+", *_DIGITS)),
    (
        _FLOAT,
        r"(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z",
        ("-", "+", ".", *_DIGITS),
    ),
    (_MERGE, r"<<\Z", ("<",)),
)

PLAIN_FORMS: Final[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
"""What a plain scalar is if it is no text, by its first letter: pairs of tag and form."""
for _tag, _form, _letters in _FORMS:
    for _letter in _letters:
        PLAIN_FORMS.setdefault(_letter, []).append((_tag, re.compile(_form)))

LINE_ENDS: Final = frozenset("\x85\u2028\u2029")
"""What ends a line to PyYAML and to YAML 1.2 no more: to be escaped where text is written."""


def read_yaml(
    text: str, path: Path, error: type[DocumentError] = DocumentError
) -> tuple[dict[str, Any], yaml.MappingNode | None]:
    """Read a document of “key: value” lines.

    Args:
        text: the whole document.
        path: only named in errors.
        error: what is raised.

    Returns:
        The values (dicts with keys of text, lists, str, int, float, bool, None), and the node of
        the document, which knows the lines; {} and None if the document is empty.

    Raises:
        DocumentError: (or ``error``) it is no YAML, or more than a document may be; the line is
            named.
    """
    try:
        node = _compose(text)
        if node is None:
            return {}, None
        if not isinstance(node, yaml.MappingNode):
            if node.tag == _NULL:
                return {}, None
            raise _Wrong("must be a list of “key: value” lines", node)
        return _Values().mapping(node), node
    except _Wrong as wrong:
        raise error(
            wrong.message, wrong.remedy, path=path, line=wrong.line, key=wrong.key
        ) from None
    except yaml.reader.ReaderError as cause:
        raise error(
            f"the character {_character(cause.character)} cannot stand in YAML",
            "remove it",
            path=path,
            line=text.count("\n", 0, cause.position) + 1,
        ) from cause
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        if str(getattr(cause, "context", "")).startswith("while scanning a"):
            # What was begun there is not ended; the problem is seen some lines later.
            mark = getattr(cause, "context_mark", None) or mark
        problem = getattr(cause, "problem", None) or "is no YAML"
        raise error(
            str(problem),
            "check indentation and colons near that line, and put text with signs in it in "
            "quotation marks",
            path=path,
            line=mark.line + 1 if mark else None,
        ) from cause


def write_yaml(values: Mapping[str, Any]) -> str:
    """Write values as :func:`read_yaml` reads them."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = PLAIN_FORMS

    def text(self, text: str) -> yaml.ScalarNode:
        style = '"' if LINE_ENDS.intersection(text) else None
        return self.represent_scalar(_STR, text, style)


_Dumper.add_representer(str, _Dumper.text)


class _Wrong(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, message: str, node: Any, remedy: str = "", key: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy, self.key = message, remedy, key
        self.line = node.start_mark.line + 1


class _Loader(yaml.SafeLoader):
    """Composes nodes under the rules of YAML 1.2, no deeper and no more than is allowed."""

    yaml_implicit_resolvers = PLAIN_FORMS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open_anchors: set[str] = set()
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        anchor: str = getattr(event, "anchor", None) or ""
        if isinstance(event, yaml.AliasEvent) and anchor in self._open_anchors:
            raise _Wrong(f"“*{anchor}” stands inside of what it refers to", event, "take it out")
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise _too_much(event)
        if self._depth >= _MAX_DEPTH:
            raise _Wrong(f"is nested deeper than {_MAX_DEPTH} levels", event)
        opens = anchor != "" and not isinstance(event, yaml.AliasEvent)
        self._depth += 1
        if opens:
            self._open_anchors.add(anchor)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1
            if opens:
                self._open_anchors.discard(anchor)


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Values:
    """Turns nodes into values."""

    def __init__(self) -> None:
        self._made = 0

    def of(self, node: yaml.Node) -> Any:
        self._made += 1
        if self._made > _MAX_NODES:
            raise _too_much(node)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        if isinstance(node, yaml.SequenceNode):
            if node.tag != _SEQ:
                raise _unknown(node)
            return [self.of(part) for part in node.value]
        return _scalar(node)

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        if node.tag != _MAP:
            raise _unknown(node)
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Wrong("a key must be text", key, "put it in quotation marks")
            if key.tag == _MERGE:
                for name, part in self._merged(value).items():
                    merged.setdefault(name, part)
                continue
            if not key.value and not key.style:
                raise _Wrong("a key is empty", key, "put the name in quotation marks")
            if key.value in values:
                raise _Wrong("stands there twice", key, "keep one of them", key.value)
            values[key.value] = self.of(value)
        return {**merged, **values}

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        """Return what ``<<:`` takes in: one mapping, or several of which the first goes before."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in nodes:
            value = self.of(part)
            if not isinstance(value, dict):
                raise _Wrong("“<<” takes in sections only", part, "name one with *")
            merged = {**value, **merged}
        return merged


def _scalar(node: yaml.Node) -> Any:
    text, tag = str(node.value), node.tag
    if tag in (_STR, _MERGE):
        return text
    try:
        if tag == _NULL:
            return None
        if tag == _BOOL:
            return {"true": True, "false": False}[text.lower()]
        if tag == _INT:
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        if tag == _FLOAT:
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except (ValueError, KeyError):
        short = text if len(text) <= 40 else f"{text[:40]}…"
        raise _Wrong(f"“{short}” is no {_WHAT[tag]}", node) from None
    raise _unknown(node)


def _unknown(node: yaml.Node) -> _Wrong:
    tag = node.tag.removeprefix(_TAG) if isinstance(node.tag, str) else node.tag
    return _Wrong(f"“!{str(tag).lstrip('!')}” is not known here", node, "take it out")


def _too_much(node: Any) -> _Wrong:
    return _Wrong(f"has more than {_MAX_NODES} values, so it is no file of ours", node)


def _character(number: int | str) -> str:
    return f"U+{number if isinstance(number, int) else ord(number):04X}"
