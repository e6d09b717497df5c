"""The keys that a hotkey may name, and what each system calls them.

A letter, digit or mark is the key that writes it without Shift; where digits need Shift (as on a
French keyboard) it is still the key with the digit on it. On a Mac a key is known by its place on
a US keyboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final


class Use(Enum):
    """What a key does when it is pressed alone."""

    DIGIT = "writes a digit"
    WRITES = "writes"
    EDITS = "moves or edits"
    FREE = "leaves text as it is"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: as written in a combination.
        keysym: X11's number for it.
        windows: virtual key code; None where Windows has no such hotkey.
        mac: virtual key code of a US keyboard; None where there is none.
    """

    name: str
    use: Use
    keysym: int
    windows: int | None
    mac: int | None


_MAC_LETTERS = dict(
    zip(
        "asdfhgzxcvbqweryt123465=97-80]ou[ip",
        [*range(0x0A), *range(0x0B, 0x24)],
        strict=True,
    )
) | dict(zip("lj'k;\\,/nm.", range(0x25, 0x30), strict=True))

_MAC_FUNCTION_KEYS = (
    *(0x7A, 0x78, 0x63, 0x76, 0x60, 0x61, 0x62, 0x64, 0x65, 0x6D, 0x67, 0x6F),
    *(0x69, 0x6B, 0x71, 0x6A, 0x40, 0x4F, 0x50, 0x5A),
)

_MAC_NUMBER_PAD = (*range(0x52, 0x5A), 0x5B, 0x5C)

# Name, X11 keysym, Windows, Mac.
_MARKS: Final = (
    ("minus", 0x2D, 0xBD, 0x1B),
    ("equal", 0x3D, 0xBB, 0x18),
    ("comma", 0x2C, 0xBC, 0x2B),
    ("period", 0x2E, 0xBE, 0x2F),
    ("slash", 0x2F, 0xBF, 0x2C),
    ("backslash", 0x5C, 0xDC, 0x2A),
    ("semicolon", 0x3B, 0xBA, 0x29),
    ("quote", 0x27, 0xDE, 0x27),
    ("grave", 0x60, 0xC0, 0x32),
    ("bracketleft", 0x5B, 0xDB, 0x21),
    ("bracketright", 0x5D, 0xDD, 0x1E),
    ("space", 0x20, 0x20, 0x31),
)

_EDITING: Final = (
    ("left", 0xFF51, 0x25, 0x7B),
    ("up", 0xFF52, 0x26, 0x7E),
    ("right", 0xFF53, 0x27, 0x7C),
    ("down", 0xFF54, 0x28, 0x7D),
    ("home", 0xFF50, 0x24, 0x73),
    ("end", 0xFF57, 0x23, 0x77),
    ("pageup", 0xFF55, 0x21, 0x74),
    ("pagedown", 0xFF56, 0x22, 0x79),
    ("insert", 0xFF63, 0x2D, 0x72),
    ("delete", 0xFFFF, 0x2E, 0x75),
    ("backspace", 0xFF08, 0x08, 0x33),
    ("tab", 0xFF09, 0x09, 0x30),
    ("enter", 0xFF0D, 0x0D, 0x24),
    ("escape", 0xFF1B, 0x1B, 0x35),
)

_FREE: Final = (
    ("pause", 0xFF13, 0x13, None),
    ("printscreen", 0xFF61, 0x2C, None),
    ("scrolllock", 0xFF14, 0x91, None),
    ("menu", 0xFF67, 0x5D, None),
    ("numplus", 0xFFAB, 0x6B, 0x45),
    ("numminus", 0xFFAD, 0x6D, 0x4E),
    ("nummultiply", 0xFFAA, 0x6A, 0x43),
    ("numdivide", 0xFFAF, 0x6F, 0x4B),
    ("numdecimal", 0xFFAE, 0x6E, 0x41),
    # Windows has the same code for both Enter keys.
    ("numenter", 0xFF8D, None, 0x4C),
    ("playpause", 0x1008FF14, 0xB3, None),
    ("mediastop", 0x1008FF15, 0xB2, None),
    ("previoustrack", 0x1008FF16, 0xB1, None),
    ("nexttrack", 0x1008FF17, 0xB0, None),
    ("volumedown", 0x1008FF11, 0xAE, None),
    ("volumeup", 0x1008FF13, 0xAF, None),
    ("mute", 0x1008FF12, 0xAD, None),
)


def _all_keys() -> Iterator[Key]:
    for letter in "abcdefghijklmnopqrstuvwxyz":
        yield Key(letter, Use.WRITES, ord(letter), ord(letter.upper()), _MAC_LETTERS[letter])
    for digit in "0123456789":
        yield Key(digit, Use.DIGIT, ord(digit), ord(digit), _MAC_LETTERS[digit])
    for number in range(1, 25):
        mac = _MAC_FUNCTION_KEYS[number - 1] if number <= len(_MAC_FUNCTION_KEYS) else None
        yield Key(f"f{number}", Use.FREE, 0xFFBD + number, 0x6F + number, mac)
    for number in range(10):
        yield Key(
            f"num{number}", Use.DIGIT, 0xFFB0 + number, 0x60 + number, _MAC_NUMBER_PAD[number]
        )
    for use, rows in ((Use.WRITES, _MARKS), (Use.EDITS, _EDITING), (Use.FREE, _FREE)):
        for name, keysym, windows, mac_code in rows:
            yield Key(name, use, keysym, windows, mac_code)


KEYS: Final[Mapping[str, Key]] = MappingProxyType({key.name: key for key in _all_keys()})
"""Every key by name."""

OTHER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "-": "minus",
        "=": "equal",
        ",": "comma",
        ".": "period",
        "/": "slash",
        "\\": "backslash",
        ";": "semicolon",
        "'": "quote",
        "`": "grave",
        "[": "bracketleft",
        "]": "bracketright",
        "arrowleft": "left",
        "arrowright": "right",
        "arrowup": "up",
        "arrowdown": "down",
        "return": "enter",
        "esc": "escape",
        "del": "delete",
        "ins": "insert",
        "pgup": "pageup",
        "pgdn": "pagedown",
        "print": "printscreen",
        "spacebar": "space",
    }
)
"""Other ways to write a key's name."""
