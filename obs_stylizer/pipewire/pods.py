"""PODs, the binary form in which PipeWire describes formats, buffers and metadata.

Each is its body's size and type (two native 32-bit numbers), then the body, padded to eight bytes.
See spa/pod/pod.h of PipeWire.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

Value = int | tuple[int, int] | bytes
"""A number, a pair (a size, a rate), or the bytes of what is read no further."""

_BOOL: Final = 2
_ID: Final = 3
_INT: Final = 4
_LONG: Final = 5
_RECTANGLE: Final = 10
_FRACTION: Final = 11
_OBJECT: Final = 15
_CHOICE: Final = 19

_RANGE: Final = 1
_ENUM: Final = 3
_FLAGS: Final = 4

_MOST_PROPERTIES: Final = 256


def identifier(value: int) -> bytes:
    """One of a list of named numbers."""
    return _pod(_ID, struct.pack("=I", value))


def integer(value: int) -> bytes:
    """A 32-bit number."""
    return _pod(_INT, struct.pack("=i", value))


def rectangle(width: int, height: int) -> bytes:
    """A size in pixels."""
    return _pod(_RECTANGLE, struct.pack("=II", width, height))


def fraction(numerator: int, denominator: int) -> bytes:
    """A rate."""
    return _pod(_FRACTION, struct.pack("=II", numerator, denominator))


def in_range(default: bytes, least: bytes, most: bytes) -> bytes:
    """Any value from ``least`` to ``most``, best ``default``."""
    return _choice(_RANGE, (default, least, most))


def one_of(values: Iterable[bytes]) -> bytes:
    """One of ``values``, best the first."""
    known = tuple(values)
    return _choice(_ENUM, (known[0], *known))


def any_of_flags(value: bytes) -> bytes:
    """Any of the bits that are set in ``value``."""
    return _choice(_FLAGS, (value,))


def make_object(kind: int, param: int, properties: Iterable[tuple[int, bytes]]) -> bytes:
    """An object of type ``kind`` for the parameter ``param``, of keys and their values."""
    body = struct.pack("=II", kind, param)
    for key, value in properties:
        body += struct.pack("=II", key, 0) + value
    return _pod(_OBJECT, body)


def read_object(data: bytes) -> dict[int, Value]:
    """Return the value of each property of an object; of a choice its first, the default.

    Raises:
        ValueError: it is no whole object.
    """
    try:
        size, kind = struct.unpack_from("=II", data)
        if kind != _OBJECT or 8 + size > len(data):
            raise ValueError("this is no object")
        found: dict[int, Value] = {}
        at, end = 16, 8 + size
        while at < end and len(found) < _MOST_PROPERTIES:
            key, _, length, kind = struct.unpack_from("=IIII", data, at)
            found[key] = _read_value(kind, data[at + 16 : at + 16 + length])
            at += 16 + length + (-length % 8)
    except struct.error as error:
        raise ValueError(f"the object is not whole: {error}") from error
    return found


def _read_value(kind: int, body: bytes) -> Value:
    if kind == _CHOICE:
        _, _, size, kind = struct.unpack_from("=IIII", body)
        body = body[16 : 16 + size]
    if kind in (_ID, _BOOL):
        return int(struct.unpack_from("=I", body)[0])
    if kind == _INT:
        return int(struct.unpack_from("=i", body)[0])
    if kind == _LONG:
        return int(struct.unpack_from("=q", body)[0])
    if kind in (_RECTANGLE, _FRACTION):
        first, second = struct.unpack_from("=II", body)
        return int(first), int(second)
    return body


def _pod(kind: int, body: bytes) -> bytes:
    return struct.pack("=II", len(body), kind) + body + b"\0" * (-len(body) % 8)


def _choice(kind: int, pods: tuple[bytes, ...]) -> bytes:
    size, child = struct.unpack_from("=II", pods[0])
    values = b"".join(pod[8 : 8 + size] for pod in pods)
    return _pod(_CHOICE, struct.pack("=IIII", kind, 0, size, child) + values)
