"""Names that look alike and are written with other characters.

OBS and file systems compare names byte by byte. A name that was typed on a Mac, copied from a web
page or given an emoji may differ from what stands in the settings by characters nobody can see.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_VARIATION_SELECTORS: Final = range(0xFE00, 0xFE10)


def find_alike(name: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that is ``name``, or the only one that differs unseen."""
    names = list(names)
    if name in names:
        return name
    plain = _plain(name)
    alike = [other for other in names if _plain(other) == plain]
    return alike[0] if len(alike) == 1 else None


def nearest(name: str, names: Iterable[str]) -> str:
    """Ask whether the nearest of ``names`` was meant by ``name``; "" if none is near.

    How they differ is told where it is hard to see.
    """
    near = get_close_matches(name, list(names), n=1)
    return f"did you mean “{near[0]}”?{_difference(name, near[0])}" if near else ""


def hint_for(name: str, names: Iterable[str]) -> str:
    """Return :func:`nearest`, or else all of ``names``."""
    names = list(names)
    return nearest(name, names) or f"it has: {', '.join(names) or 'none'}"


def _plain(name: str) -> str:
    """Return a name without what cannot be seen: order of accents, kinds of blanks, selectors."""
    text = unicodedata.normalize("NFKC", name)
    seen = (
        letter
        for letter in text
        if unicodedata.category(letter) != "Cf" and ord(letter) not in _VARIATION_SELECTORS
    )
    return " ".join("".join(seen).split())


def _difference(name: str, other: str) -> str:
    """Name the first characters that differ, where one of them is outside of ASCII."""
    for mine, theirs in zip(f"{name}\0", f"{other}\0", strict=False):
        if mine != theirs:
            if mine.isascii() and theirs.isascii():
                return ""
            return f" It has {_called(theirs)} where yours has {_called(mine)}"
    return ""


def _called(letter: str) -> str:
    if letter == "\0":
        return "its end"
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '(no name)')}"
